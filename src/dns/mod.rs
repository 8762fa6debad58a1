//! Names: a server for a lab's zones, and a resolver for its guests. Messages are hickory-proto's.
//!
//! ```text
//! name.rs     names as people write them
//! resolver/   a task that finds addresses for names
//! zone.rs     what a server knows
//! answer.rs   a query's bytes in, an answer's out
//! server.rs   a task that answers over UDP and TCP
//! ```
//!
//! This folder knows stacks, and nothing of guests, protocol objects or scenarios.

pub mod answer;
pub mod name;
pub mod resolver;
pub mod server;
pub mod zone;
