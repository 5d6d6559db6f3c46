//! Words and rules of the certificate platform (design §1). No I/O, no clock, no database.

pub mod adapter;
pub mod agent;
pub mod audit;
pub mod certificate;
pub mod chain;
pub mod clue;
pub mod database;
pub mod duration;
pub mod endpoint;
pub mod finding;
pub mod id;
pub mod installation;
pub mod key;
pub mod link;
pub mod matter;
pub mod plain;
pub mod reason;
pub mod renewal;
pub mod request;
pub mod role;
pub mod secret;
pub mod server_name;
pub mod token;
pub mod told;
pub mod worker;
pub mod x509;
