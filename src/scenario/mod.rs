//! Scenario files: TOML in, a [`plan::Plan`] out.

pub mod plan;
