//! Authorities and `tls` protocol objects as a scenario has them, every name looked up: plain data, and what they are
//! made with is in `supplies.rs`.

use std::path::PathBuf;
use std::time::Duration;

use super::config::{Clients, Versions};
use super::name::Name;

/// A certificate authority of the lab's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityPlan {
    pub name: String,
    pub valid: ValidityPlan,
    /// Where its root is written to when the lab begins.
    pub export: Option<PathBuf>,
}

/// Nanoseconds from the lab's beginning; negative: before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityPlan {
    pub from_ns: i64,
    pub until_ns: i64,
}

/// From a day before the lab begins until ten years after.
pub const DEFAULT_VALIDITY: ValidityPlan =
    ValidityPlan { from_ns: -86_400_000_000_000, until_ns: 3_650 * 86_400_000_000_000 };

/// From the connection below to the end of the handshake.
pub const DEFAULT_HANDSHAKE: Duration = Duration::from_secs(10);

/// What a `tls` protocol object is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPlan {
    pub certificates: Vec<CertificatePlan>,
    pub roots: Vec<RootPlan>,
    pub client_roots: Vec<RootPlan>,
    pub clients: Clients,
    pub server_name: Option<String>,
    pub alpn: Vec<String>,
    pub versions: Versions,
    pub resumption: bool,
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificatePlan {
    /// PEM files.
    Files { chain: PathBuf, key: PathBuf },
    /// By one of the lab's authorities, by its place in the plan.
    Issued { authority: usize, names: Vec<Name>, valid: ValidityPlan },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootPlan {
    /// One of the lab's authorities, by its place in the plan.
    Authority(usize),
    /// A PEM file.
    File(PathBuf),
    /// Those of the machine that the lab runs on; a lab of virtual time cannot be made with them.
    System,
    /// The same, and none in virtual time: what a lab without an authority trusts if it does not say.
    SystemIfLive,
}
