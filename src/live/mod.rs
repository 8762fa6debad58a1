//! The live driver: a world moved on by the wall clock, with real devices plugged in.
//!
//! - [`tap`]: a Linux TAP, whose frames go to and from a port.

pub mod tap;
