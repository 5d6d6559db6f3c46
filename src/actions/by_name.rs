//! The lines that name each thing of a plan: its own facts, in columns.

use chrono::{DateTime, Utc};

pub(super) use crate::domain::certificate::short_serial as tail;
use crate::domain::installation::Installation;
use crate::domain::moment::short;
use crate::wire::certs::CertificateDetail;

/// Columns that a name may take before the others give way.
const NAME: usize = 32;

/// Rows as lines whose columns stand below each other; the last one is as long as it is.
pub(super) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let wide = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .min(NAME)
    };
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate();
            let cells = cells.map(|(column, cell)| format!("{cell:<width$}", width = wide(column)));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

/// One certificate: its name, serial, end, the hosts where it is in use, and its file where that is one.
pub(super) fn certificate(detail: &CertificateDetail, now: DateTime<Utc>) -> Vec<String> {
    let mut hosts: Vec<&str> = detail.in_use().map(|it| it.hostname.as_str()).collect();
    hosts.dedup();
    certificate_on(detail, &hosts, now)
}

/// Sentence as above, with the hosts that something is done on.
pub(super) fn certificate_on(detail: &CertificateDetail, hosts: &[&str], now: DateTime<Utc>) -> Vec<String> {
    let certificate = &detail.certificate;
    let ends = if certificate.not_after > now {
        "ends"
    } else {
        "ended"
    };
    let places: Vec<&Installation> = (detail.in_use())
        .filter(|it| hosts.contains(&it.hostname.as_str()))
        .collect();
    let file = match places.as_slice() {
        [] => "installed nowhere".to_owned(),
        [one] => file_name(one).to_owned(),
        many => format!("{} files", many.len()),
    };
    vec![
        certificate.name().to_owned(),
        tail(&certificate.serial),
        format!("{ends} {}", short(certificate.not_after, now)),
        hosts.join(" "),
        file,
    ]
}

fn file_name(installation: &Installation) -> &str {
    let path = installation.path.as_str();
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_named_by_their_last_octets_and_columns_stand_below_each_other() {
        assert_eq!(tail("39:dd:57:80:2e:dd"), "…57:80:2e:dd");
        assert_eq!(tail("39:dd"), "39:dd");
        let rows = [vec!["a", "1", "x"], vec!["bcd", "22", ""]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(columns(&rows), ["a    1   x", "bcd  22"]);
    }
}
