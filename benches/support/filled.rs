//! A database of size: how much is in it, and the statements that fill it, for a superuser.

/// Contents of a database.
pub(crate) struct Filled<'a> {
    pub(crate) certificates: usize,
    pub(crate) agents: usize,
    /// Agents that report; the others are silent for two days.
    pub(crate) reporting: usize,
    pub(crate) requests: usize,
    /// Port that the agents listen at.
    pub(crate) port: u16,
    /// Id of the adapter that all is signed by, which has to be there.
    pub(crate) adapter: &'a str,
    /// Some of all are revoked, leaked, banned, silent, or have another certificate served than is expected.
    pub(crate) is_troubled: bool,
}

impl Filled<'_> {
    /// Statements that fill an empty database of this version.
    pub(crate) fn sql(&self) -> String {
        include_str!("fill.sql")
            .replace(":certs", &self.certificates.to_string())
            .replace(":agents", &self.agents.to_string())
            .replace(":reporting", &self.reporting.to_string())
            .replace(":requests", &self.requests.to_string())
            .replace(":port", &self.port.to_string())
            .replace(":adapter", self.adapter)
            .replace(":troubled", if self.is_troubled { "TRUE" } else { "FALSE" })
    }
}
