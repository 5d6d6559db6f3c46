//! A console over a platform that has no Vault, without a screen: it plans, confirms and carries out.

use cmp_console::actions;
use cmp_console::clients::api::{ApiReader, ApiWriter};
use cmp_console::clock::Clock;
use cmp_console::domain::id::EntityKind;
use cmp_console::domain::secret::Secret;
use cmp_console::plan::journal::Journal;
use cmp_console::plan::known::KnownAgents;
use cmp_console::plan::outcome::Outcome;
use cmp_console::plan::plan::{Inputs, Target};
use cmp_console::plan::ports::{Changes, Reads};
use cmp_console::plan::tier::InContext;

use super::hands;
use super::world::{ADMIN, World};

pub(crate) struct Console {
    reads: Reads,
    changes: Changes,
    journal: Journal,
}

impl Console {
    pub(crate) fn over(world: &World) -> Self {
        let token = Some(Secret::new(ADMIN.to_owned()));
        let api = ApiReader::new(&world.url(""), token).unwrap();
        Self {
            reads: Reads {
                api: api.clone(),
                hosts: None,
                known: KnownAgents::default(),
                vault: None,
                vault_nodes: Vec::new(),
                clock: Clock::system(),
                pki_mount: "cmp-pki".to_owned(),
                pki_test_role: "cmp-test-role".to_owned(),
            },
            changes: Changes::new(ApiWriter::new(api), None),
            journal: Journal::new(&world.dir.path().join("journal.jsonl")),
        }
    }

    /// Revokes the certificate; returns the proof's words.
    pub(crate) async fn revoke(&self, id: &str, reason: &str) -> String {
        let action = actions::find("revoke").unwrap();
        let on = Target {
            kind: EntityKind::Certificate,
            id: id.to_owned(),
            version: 0,
            name: id.to_owned(),
            status: "active".to_owned(),
        };
        let inputs = Inputs::from([("reason".to_owned(), reason.to_owned())]);
        let plan = action.plan(vec![on], inputs, &self.reads).await.unwrap();
        let context = InContext {
            name: "acme",
            protected: false,
        };
        let carried_out = hands::carry_out(plan, context, &self.reads, &self.changes, &self.journal);
        match carried_out.await {
            (Outcome::Proven(_), said) => said,
            (other, said) => panic!("{other:?}\n{said}"),
        }
    }
}
