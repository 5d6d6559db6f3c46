//! Places in trouble, as a row of the statements about them has them.

use super::installed::{InUse, Instead, Owed};
use crate::domain::certificate::{CertificateStatus, is_being_reissued};
use crate::domain::key::KeyStatus;
use crate::domain::layout::Layout;
use crate::domain::reason::Reason;
use crate::store::certificates;
use crate::store::row::{FromRow, Row, optional_word, word};

impl FromRow for InUse {
    fn from_row(row: &Row) -> Result<Self, sqlx::Error> {
        let renewal: String = row.try_get("renewal")?;
        Ok(Self {
            installation_id: row.try_get("installation_id")?,
            installation_version: row.try_get("installation_version")?,
            agent_id: row.try_get("agent_id")?,
            hostname: row.try_get("hostname")?,
            path: row.try_get("path")?,
            tls_address: row.try_get("tls_address")?,
            certificate_id: row.try_get("certificate_id")?,
            certificate_version: row.try_get("certificate_version")?,
            subject: row.try_get("subject")?,
            serial: row.try_get("serial")?,
            not_after: row.try_get("not_after")?,
            renewal: certificates::renewal(row)?,
            status: word(row, "status", CertificateStatus::from_word)?,
            revocation_reason: optional_word(row, "revocation_reason", Reason::parse)?,
            revocation_asked_at: row.try_get("revocation_asked_at")?,
            key_status: word(row, "key_status", KeyStatus::from_word)?,
            compromised_at: row.try_get("compromised_at")?,
            is_expected: row.try_get::<i64>("is_expected")? == 1,
            is_served: row.try_get::<i64>("is_served")? == 1,
            expected_sha256: row.try_get("expected_sha256")?,
            on_disk_sha256: row.try_get("on_disk_sha256")?,
            served_sha256: row.try_get("served_sha256")?,
            chain_missing: row.try_get("chain_missing")?,
            layout: optional_word(row, "layout", Layout::from_word)?,
            error: row.try_get("error")?,
            install_failed: row.try_get::<i64>("install_failed")? == 1,
            report_error: row.try_get("report_error")?,
            never_there: row.try_get::<i64>("never_there")? == 1,
            checked_at: row.try_get("checked_at")?,
            differs_since: row.try_get("differs_since")?,
            owed: owed(row)?,
            instead: instead(row)?,
            n_reissues: row.try_get("n_reissues")?,
            n_reissuable: row.try_get("n_reissuable")?,
            renewal_failing: renewal == "failed",
            renewal_error: row.try_get("renewal_error")?,
            last_checkin: row.try_get("last_checkin")?,
            agent_banned: row.try_get::<i64>("agent_banned")? == 1,
            agent_has_no_token: row.try_get::<i64>("agent_has_no_token")? == 1,
            checkin_interval_s: row.try_get("checkin_interval_s")?,
        })
    }
}

fn instead(row: &Row) -> Result<Option<Instead>, sqlx::Error> {
    let Some(certificate_id) = row.try_get::<Option<String>>("instead_id")? else {
        return Ok(None);
    };
    Ok(Some(Instead {
        certificate_id,
        version: row.try_get("instead_version")?,
        subject: row.try_get("instead_subject")?,
        is_good: row.try_get::<i64>("instead_good")? == 1,
        is_queued: row.try_get::<i64>("instead_queued")? > 0,
        is_being_reissued: is_being_reissued(
            row.try_get("instead_reissues")?,
            row.try_get("instead_reissuable")?,
        ),
    }))
}

fn owed(row: &Row) -> Result<Option<Owed>, sqlx::Error> {
    let Some(certificate_id) = row.try_get::<Option<String>>("owed_id")? else {
        return Ok(None);
    };
    Ok(Some(Owed {
        certificate_id,
        version: row.try_get("owed_version")?,
        subject: row.try_get("owed_subject")?,
        serial: row.try_get("owed_serial")?,
        not_after: row.try_get("owed_until")?,
        sha256: row.try_get("owed_sha256")?,
        error: row.try_get("failed_error")?,
    }))
}
