//! The wake-up of an agent, step by step: name, connect, HTTP.
use crate::wire::agents::WakeReply;
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct WakeFailure;
pub async fn wake(_address: &str, _limit: std::time::Duration) -> Result<WakeReply, WakeFailure> {
    Err(WakeFailure)
}
