//! Scenario files: TOML in, a [`plan::Plan`] out.

pub mod assets;
pub mod plan;
