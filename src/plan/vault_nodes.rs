//! The nodes of Vault's cluster as an unseal sees them: each has a seal of its own and is opened by itself.
//! It only looks and chooses; it opens nothing.

use futures::future::join_all;

use super::plan::Field;
use super::ports::Reads;
use crate::clients::vault::{SealStatus, VaultReader};
use crate::problem::Problem;

/// A node, and what it said of its seal.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its address.
    pub address: String,
    /// What it said, or why it said nothing.
    pub seal: Result<SealStatus, Problem>,
}

impl Node {
    fn is_sealed(&self) -> bool {
        self.seal.as_ref().is_ok_and(|status| status.sealed)
    }

    fn is_open(&self) -> bool {
        self.seal.as_ref().is_ok_and(|status| !status.sealed)
    }
}

/// Asks every node at once.
pub async fn look(with: &Reads) -> Vec<Node> {
    ask_each(with.seals()).await
}

/// Asks each of these at once.
pub async fn ask_each(nodes: impl Iterator<Item = &VaultReader>) -> Vec<Node> {
    let asked = nodes.map(async |node| Node {
        address: node.address().to_owned(),
        seal: node.seal_status().await.map_err(Problem::from),
    });
    join_all(asked).await
}

/// The sealed node that is meant: the wished one, or else the first that is sealed.
///
/// # Errors
/// That none is sealed, or why the only one doesn't say.
pub fn choose<'a>(nodes: &'a [Node], wish: &str) -> Result<(&'a str, &'a SealStatus), Problem> {
    let sealed = || nodes.iter().filter(|node| node.is_sealed());
    let wished = sealed().find(|node| node.address == wish);
    if let Some(node) = wished.or_else(|| sealed().next())
        && let Ok(status) = &node.seal
    {
        return Ok((&node.address, status));
    }
    match nodes {
        [one] => Err(match &one.seal {
            Err(problem) => problem.clone(),
            Ok(_) => Problem::conflict(format!("Vault at `{}` is not sealed", one.address)),
        }),
        many => {
            let silent = many.iter().find_map(|node| node.seal.as_ref().err());
            let problem = Problem::conflict("no node of Vault that answers is sealed");
            Err(match silent {
                Some(why) => problem.hint(format!("one does not answer: {why}")),
                None => problem,
            })
        }
    }
}

/// Whether one more open node gives the cluster a leader, so that what Vault is for can be proven: more than
/// half of the nodes agree on one.
#[must_use]
pub fn suffices(nodes: &[Node]) -> bool {
    let open = nodes.iter().filter(|node| node.is_open()).count() + 1;
    open * 2 > nodes.len()
}

/// What is said of the other nodes.
#[must_use]
pub fn others(nodes: &[Node], address: &str) -> Vec<String> {
    let mut words: Vec<String> = nodes
        .iter()
        .filter(|node| node.address != address)
        .filter_map(|node| match &node.seal {
            Ok(status) if status.sealed => Some(format!(
                "{} stays sealed: it is unsealed by itself, after this one",
                node.address
            )),
            Ok(_) => None,
            Err(problem) => Some(format!("{} does not answer: {}", node.address, problem.what)),
        })
        .collect();
    if !suffices(nodes) {
        let needed = nodes.len() / 2 + 1;
        words.push(format!(
            "nothing can be issued before {needed} of {} nodes are open and agree on a leader",
            nodes.len()
        ));
    }
    words
}

/// The choice among the sealed nodes, where there is one.
#[must_use]
pub fn field(nodes: &[Node], address: &str) -> Option<Field> {
    let options: Vec<String> = nodes
        .iter()
        .filter(|node| node.is_sealed())
        .map(|node| node.address.clone())
        .collect();
    (options.len() > 1).then(|| Field {
        name: "node".to_owned(),
        label: "Node".to_owned(),
        value: address.to_owned(),
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(address: &str, sealed: Option<bool>) -> Node {
        let status = sealed.map(|sealed| SealStatus {
            sealed,
            ..SealStatus::default()
        });
        Node {
            address: address.to_owned(),
            seal: status.ok_or_else(|| Problem::unavailable("no connection")),
        }
    }

    #[test]
    fn the_wished_node_is_taken_if_it_is_sealed_and_else_the_first_that_is() {
        let nodes = [
            node("a", Some(false)),
            node("b", Some(true)),
            node("c", Some(true)),
        ];
        let chosen = |wish| choose(&nodes, wish).map(|(address, _)| address.to_owned());
        assert_eq!(chosen("c").unwrap(), "c");
        assert_eq!(chosen("a").unwrap(), "b");
        assert_eq!(chosen("the cluster's own address").unwrap(), "b");
        assert_eq!(field(&nodes, "b").unwrap().options, ["b", "c"]);
        let open = [node("a", Some(false)), node("b", None)];
        let words = choose(&open, "a").unwrap_err();
        assert!(format!("{words:?}").contains("no connection"), "{words:?}");
        assert!(field(&open, "a").is_none());
    }

    #[test]
    fn a_cluster_works_when_more_than_half_of_it_is_open() {
        let three = [node("a", Some(true)), node("b", Some(true)), node("c", None)];
        assert!(!suffices(&three));
        let words = others(&three, "a");
        assert_eq!(words.len(), 3, "{words:?}");
        assert!(
            words[0].contains("b stays sealed") && words[2].contains("2 of 3"),
            "{words:?}"
        );
        assert!(suffices(&[
            node("a", Some(true)),
            node("b", Some(false)),
            node("c", None)
        ]));
        assert!(suffices(&[node("a", Some(true))]));
        assert!(others(&[node("a", Some(true))], "a").is_empty());
    }
}
