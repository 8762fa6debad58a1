//! guestnet runs WebAssembly guests, each on an IP stack of its own.
#![forbid(unsafe_code)]

pub mod abi;
pub mod capture;
pub mod dns;
pub mod docs;
pub mod error;
pub mod event;
pub mod filter;
pub mod folders;
pub mod guest;
pub mod lab;
pub mod live;
pub mod network;
pub mod node;
pub mod protocol;
pub mod rng;
pub mod scenario;
pub mod shrink;
pub mod sim;
pub mod sweep;
pub mod time;
pub mod world;
