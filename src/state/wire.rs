//! The wire between the console and the person's terminal, as it was measured. It measures nothing.

/// How the wire is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// The terminal answers when it is asked whether it has shown a frame.
    pub answers: bool,
    /// From a small frame to its answer, in milliseconds.
    pub round_trip_ms: Option<u32>,
    /// What goes through, in bytes a second, where a frame was big enough to tell.
    pub bytes_per_second: Option<u32>,
    /// It is slow: the console draws plainer, and news less often.
    pub poor: bool,
}

impl Wire {
    /// The round trip in coarse words for the header; nothing where nobody feels it.
    #[must_use]
    pub fn words(&self) -> String {
        let coarse = match self.round_trip_ms {
            Some(ms @ 100..1000) => format!("{}ms", ms / 100 * 100),
            Some(ms @ 1000..) => format!("{}s", ms / 1000),
            _ => String::new(),
        };
        match (self.poor, coarse.as_str()) {
            (false, "") => coarse,
            (false, _) => format!("link {coarse}"),
            (true, "") => "SLOW LINK".to_owned(),
            (true, _) => format!("SLOW LINK {coarse}"),
        }
    }
}
