//! A CSR that somebody sent, and the problem when it isn't taken.

use crate::domain::csr::{Csr, CsrError};
use crate::problem::Problem;

/// Reads it, and checks that whoever made it has the private key.
pub(super) fn read(text: &str) -> Result<Csr, Problem> {
    Csr::read(text).map_err(|error| match error {
        CsrError::NotPem(_)
        | CsrError::TooLong
        | CsrError::NotOne(_)
        | CsrError::NotDer
        | CsrError::Version => Problem::bad_input(format!("the CSR can't be read: {error}")),
        error => Problem::refused(format!("the CSR is refused: {error}")),
    })
}
