//! The proof of a revocation: its serial is in a list of its CA that was made after the CA accepted it.

use chrono::{DateTime, Utc};

use crate::actions::in_the_way::Adapters;
use crate::clients::crl::{Crl, Says};
use crate::domain::certificate::{Certificate, Revocation};
use crate::domain::key::{Key, KeyStatus};
use crate::domain::moment;
use crate::domain::reason::Reason;
use crate::domain::told::{SAID, cited};
use crate::plan::ports::Reads;
use crate::plan::step::{Proof, StepContext, text};
use crate::problem::Problem;

/// Progress of the revocation of the certificate in the step's arguments.
pub(in crate::actions) async fn prove(cx: &StepContext, with: &Reads) -> Result<Proof, Problem> {
    let serial = text(&cx.args, "serial")?;
    // A CRL fetched before the CA accepted proves nothing, so acceptance comes first.
    let detail = with.api.certificate(text(&cx.args, "certificate")?).await?;
    let (certificate, key) = (detail.certificate, detail.key);
    let is_good = |key: &Key| key.status != KeyStatus::Compromised;
    if blocks_key(cx) && key.as_ref().is_some_and(is_good) {
        return Ok(Proof::NotYet("its key isn't blocked yet".to_owned()));
    }
    let Some(revocation) = &certificate.revocation else {
        return Ok(Proof::NotYet("the wish is not on record yet".to_owned()));
    };
    if revocation.accepted_at.is_none() {
        return not_accepted(cx, &certificate, with).await;
    }
    if let (Some(at), Some(_)) = (revocation.accepted_at, revocation.without_crl_at) {
        return Ok(Proof::Proven(format!(
            "the CA accepted it at {}; the certificate names no CRL, so that this is all the proof there is",
            at.format("%Y-%m-%d %H:%M:%SZ")
        )));
    }
    let crl = with.crl().await.map(|crl| {
        let says = crl.says(&certificate, with.now());
        (crl, says)
    });
    let at_its_word = crl.as_ref().map_or("", |(crl, _)| crl.at_its_word(&certificate));
    // A list leaves out what has expired.
    let has_to_be_listed = with.now() < certificate.not_after;
    Ok(listed(
        serial,
        revocation,
        with.now(),
        at_its_word,
        has_to_be_listed,
        crl,
    ))
}

/// True if the revocation blocks the key, too.
fn blocks_key(cx: &StepContext) -> bool {
    text(&cx.args, "reason").is_ok_and(|reason| reason == Reason::KeyCompromise.name())
}

/// Proof that an accepted revocation is listed: in the CRL that this console reads, or in one that the issuer has read.
/// An external CA's is where the certificate says, and the issuer looks there: a console that can't reach it holds up
/// nothing. One that reads the CA's own list, which doesn't hold it, takes nobody's word for it.
fn listed(
    serial: &str,
    revocation: &Revocation,
    now: DateTime<Utc>,
    at_its_word: &str,
    has_to_be_listed: bool,
    crl: Result<(Crl, Says), Problem>,
) -> Proof {
    if let Ok((crl, Says::Listed)) = &crl {
        return Proof::Proven(format!(
            "serial {serial} is in the CRL{} of {}{at_its_word}{}",
            crl.number
                .as_ref()
                .map(|number| format!(" #{number}"))
                .unwrap_or_default(),
            crl.this_update.format("%Y-%m-%d %H:%M:%SZ"),
            crl.end_words(now)
        ));
    }
    if let (Some(at), Ok((_, Says::NotListed)), true) = (revocation.in_crl_at, &crl, has_to_be_listed) {
        return Proof::NotYet(format!(
            "the issuer saw serial {serial} in the CRL at {}, and the CRL that is read from here doesn't hold it: look into \
             it at the CA itself",
            at.format("%Y-%m-%d %H:%M:%SZ")
        ));
    }
    if let Some(at) = revocation.in_crl_at {
        return Proof::Proven(format!(
            "serial {serial} was in the CRL that the issuer fetched at {}",
            at.format("%Y-%m-%d %H:%M:%SZ")
        ));
    }
    Proof::NotYet(match crl {
        Ok((_, Says::Another)) => "accepted by the CA; the issuer looks into its CRL".to_owned(),
        Ok((_, Says::Nothing(why))) => {
            format!("accepted by the CA; {why}, so that it proves nothing; the issuer looks into its CRL")
        }
        // The end of the CRL that is there says nothing: a CA may make another one at once.
        Ok(_) if let Some((seen, list)) = revocation.fell_out() => format!(
            "accepted by the CA, was in the CRL at {}, and {list} doesn't hold it: the issuer asks the CA again",
            seen.format("%Y-%m-%d %H:%M:%SZ")
        ),
        Ok(_) => match revocation.in_crl_by {
            Some(by) if by <= now => format!(
                "accepted by the CA, and not in its CRL, which was to hold it by {}: the issuer asks the CA again",
                moment::short(by, now)
            ),
            Some(by) => format!(
                "accepted by the CA, not in its CRL yet; expected there by {}",
                moment::short(by, now)
            ),
            None => "accepted by the CA, not in its CRL yet".to_owned(),
        },
        Err(problem) => format!(
            "accepted by the CA; no CRL can be read from here ({}), the issuer looks into it",
            problem.what
        ),
    })
}

/// Why the CA has not accepted yet, in its own words: that is what somebody has to mend.
async fn not_accepted(cx: &StepContext, certificate: &Certificate, with: &Reads) -> Result<Proof, Problem> {
    let words = "asked; the CA has not accepted yet";
    if let Some(cause) = Adapters::ask(with)
        .await?
        .for_revoking()
        .stopped(certificate, with)
    {
        let reason = certificate
            .revocation
            .as_ref()
            .map(|revocation| revocation.reason);
        let blocked = match reason {
            Some(Reason::KeyCompromise) => " and its key blocked",
            _ => "",
        };
        return Ok(Proof::Waits(format!(
            "asked{blocked}; {cause}. It is revoked by itself when that is over"
        )));
    }
    let Some(job) = cx.result["job"].as_str() else {
        return Ok(Proof::NotYet(words.to_owned()));
    };
    let job = with.api.job(job).await?;
    Ok(match (job.error, job.ended_at) {
        (None, _) => Proof::Open(words.to_owned()),
        (Some(why), None) => Proof::Open(format!("{words}: {why}")),
        (Some(why), Some(_)) => Proof::Refuted(
            Problem::refused(format!("the CA refused the revocation: {}", cited(&why, SAID))).hint(
                match blocks_key(cx) {
                    true => "its key stays blocked; mend the cause, then revoke it again",
                    false => "mend the cause, then revoke it again",
                },
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_issuers_look_counts_where_this_console_has_no_way_to_a_list() {
        let none = || Err(Problem::not_found("this context has no Vault"));
        let crl = |says: Says| Ok((Crl::empty(), says));
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let revocation = |in_crl_at| Revocation {
            reason: Reason::Superseded,
            asked_at: now,
            accepted_at: Some(now),
            in_crl_by: Some(now + TimeDelta::minutes(5)),
            in_crl_at,
            without_crl_at: None,
            was_in_crl_at: None,
            left_crl: None,
            refusal: None,
        };
        let seen = |at: Option<DateTime<Utc>>, crl| listed("0a:0b", &revocation(at), now, "", true, crl);
        let words = |proof: Proof| match proof {
            Proof::NotYet(words) => words,
            other => panic!("{other:?}"),
        };
        assert!(words(seen(None, none())).contains("this context has no Vault"));
        let of_another = words(seen(None, crl(Says::Another)));
        assert!(
            !of_another.contains("by 00:05Z"),
            "another CA's time says nothing: {of_another}"
        );
        let expected = words(seen(None, crl(Says::NotListed)));
        assert!(expected.ends_with("expected there by 00:05Z"), "{expected}");
        let later = now + TimeDelta::minutes(6);
        let late = words(listed(
            "0a:0b",
            &revocation(None),
            later,
            "",
            true,
            crl(Says::NotListed),
        ));
        assert!(
            late.ends_with("by 00:05Z: the issuer asks the CA again"),
            "{late}"
        );
        let forged = words(seen(
            None,
            crl(Says::Nothing("it is signed by somebody else".to_owned())),
        ));
        assert!(
            forged.contains("somebody else") && forged.contains("proves nothing"),
            "{forged}"
        );
        for crl in [none(), crl(Says::Another)] {
            let proof = seen(Some(DateTime::UNIX_EPOCH), crl);
            assert!(matches!(proof, Proof::Proven(_)), "{proof:?}");
        }
        let at = Some(DateTime::UNIX_EPOCH);
        assert!(words(seen(at, crl(Says::NotListed))).contains("at the CA itself"));
        let has_expired = listed("0a:0b", &revocation(at), now, "", false, crl(Says::NotListed));
        assert!(matches!(has_expired, Proof::Proven(_)), "{has_expired:?}");
        let proof = seen(None, crl(Says::Listed));
        assert!(matches!(proof, Proof::Proven(_)), "{proof:?}");
    }
}
