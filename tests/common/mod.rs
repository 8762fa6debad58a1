//! What integration tests share.
#![allow(dead_code, reason = "each test takes what it needs of it")]

pub mod lab;
pub mod tshark;
