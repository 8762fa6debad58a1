//! What integration tests share: the labs of tests/scenarios (`scenario`), labs beside Linux's own network (`lab`, in a
//! `namespace`), captures as tshark reads them (`tshark`; `capture` for those with peers), remarks of the trace (`remarks`), and
//! seeds of property tests (`property`).

#![allow(dead_code, reason = "each test program uses its part")]

pub mod capture;
pub mod frames;
pub mod lab;
pub mod namespace;
pub mod peer;
pub mod property;
pub mod remarks;
pub mod scenario;
pub mod tshark;
