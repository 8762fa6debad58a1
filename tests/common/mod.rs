//! What the tests that need Linux's own network share.

#![allow(dead_code, reason = "each test program uses its part")]

pub mod capture;
pub mod frames;
pub mod lab;
pub mod namespace;
