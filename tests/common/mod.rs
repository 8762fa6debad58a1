//! What integration tests share.

#![allow(dead_code, reason = "each test program uses its part")]

pub mod capture;
pub mod lab;
pub mod namespace;
pub mod simulated;
pub mod tshark;
