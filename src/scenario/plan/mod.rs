//! A scenario resolved: every name looked up, every default filled in, nothing left to go wrong
//! but the machine. Plans are plain data; the world is built from one.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::expectation::Expectation;
use crate::dns::zone::Zones;
use crate::network::dhcp::ServerConfig;
use crate::network::link::LinkParameters;
use crate::network::router::Advertise;
use crate::network::{Automatic, InterfaceConfig, Route};
use crate::node::SocketKind;
use crate::protocol::ip::{Families, Family};
use crate::protocol::policy::Policy;
use crate::protocol::tls::plan::{AuthorityPlan, CertificatePlan, RootPlan, TlsPlan};
use crate::protocol::{Grant, LayerKind};

mod timeline;

pub use timeline::{
    Action, EntryPlan, FramesPlan, LinkChange, Machines, PacketMatch, PortPlan, ProtocolMatch, Span,
    TcpMatch, When,
};

/// A whole lab.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Shown in reports; the file's stem unless the scenario names itself.
    pub name: String,
    /// The seed the scenario asks for, if it does.
    pub seed: Option<u64>,
    /// SHA-256 of the scenario file, in lower-case hexadecimal; of nothing for a lab made in code.
    pub digest: String,
    /// When the lab is stopped, if it does not end by itself.
    pub duration: Option<Duration>,
    /// Wall-clock time of virtual instant 0, since the Unix epoch (`sim` alone; `live` takes the clock).
    pub epoch: Duration,
    /// Whether captures have the secrets of TLS connections in them; `None`: in virtual time alone.
    pub log_secrets: Option<bool>,
    pub authorities: Vec<AuthorityPlan>,
    pub guests: Vec<GuestPlan>,
    pub switches: Vec<SwitchPlan>,
    pub routers: Vec<RouterPlan>,
    pub taps: Vec<TapPlan>,
    pub services: Vec<ServicePlan>,
    /// Folders of the machine that guests reach Unix-domain sockets in, for the live driver. Protocol objects count them
    /// from 1.
    pub host_folders: Vec<HostFolderPlan>,
    pub links: Vec<LinkPlan>,
    /// What happens while it runs, in file order.
    pub timeline: Vec<EntryPlan>,
    pub expectations: Vec<Expectation>,
}

impl Plan {
    /// Whether it has what virtual time cannot have: TAPs, or sockets of the host.
    pub fn is_live_only(&self) -> bool {
        !self.taps.is_empty() || !self.host_folders.is_empty()
    }

    /// What `tls` and `quic` protocol objects are set to, wherever in a stack they stand.
    fn tls(&self) -> impl Iterator<Item = &TlsPlan> {
        let grants = self.guests.iter().flat_map(|guest| &guest.protocols).map(|protocol| &protocol.grant);
        grants.flat_map(Grant::layers).filter_map(|layer| match layer {
            LayerKind::Tls(tls) => Some(tls),
            LayerKind::Quic(quic) => Some(&quic.tls),
            LayerKind::HttpConnect(_)
            | LayerKind::ProxyProtocol(_)
            | LayerKind::Socks5(_)
            | LayerKind::Yamux(_) => None,
        })
    }

    /// PEM files, one that is named twice twice.
    pub fn certificate_files(&self) -> impl Iterator<Item = &Path> {
        self.tls().flat_map(|tls| {
            let certificates = tls.certificates.iter().flat_map(|certificate| match certificate {
                CertificatePlan::Files { chain, key } => vec![chain.as_path(), key.as_path()],
                CertificatePlan::Issued { .. } => vec![],
            });
            let roots = tls.roots.iter().chain(&tls.client_roots).filter_map(|root| match root {
                RootPlan::File(path) => Some(path.as_path()),
                RootPlan::Authority(_) | RootPlan::System | RootPlan::SystemIfLive => None,
            });
            certificates.chain(roots)
        })
    }

    /// Whether some protocol object trusts what the machine trusts.
    pub fn needs_system_roots(&self) -> bool {
        let system = |root: &RootPlan| matches!(root, RootPlan::System | RootPlan::SystemIfLive);
        self.tls().any(|tls| tls.roots.iter().chain(&tls.client_roots).any(system))
    }
}

/// The switch of a lab that names no network at all.
pub const DEFAULT_SWITCH: &str = "lan";
/// IEEE 802.1Q, 8.8.3.
pub const DEFAULT_AGEING: Duration = Duration::from_secs(300);
/// Ethernet's.
pub const DEFAULT_MTU: usize = 1500;
/// Routes of a guest or a service: they are looked through for each flow.
pub const ROUTES_MAX: usize = 16;
pub const DEFAULT_MEMORY_BYTES: u64 = 64 << 20;
/// An instruction a nanosecond.
pub const DEFAULT_CPU_HZ: u64 = 1_000_000_000;
pub const DEFAULT_DESCRIPTORS: usize = 1024;
/// Bytes of socket buffers for each descriptor that a guest may have: both buffers of two connections.
pub const DEFAULT_BUFFER_BYTES_EACH: u64 = 256 << 10;
pub const DEFAULT_LINGER: Duration = Duration::from_secs(10);
/// As long as Debian's network waits before the machine goes on without.
pub const DEFAULT_ADDRESS_WAIT: Duration = Duration::from_secs(60);
pub const DEFAULT_BACKLOG: usize = 128;

/// The protocol objects of a guest whose scenario names none: `ipv4` and `ipv6`, both without policy
/// and whatever addresses it has, so that its descriptors do not depend on those.
pub fn default_protocols() -> Vec<ProtocolPlan> {
    [Family::V4, Family::V6]
        .map(|family| {
            let grant = Grant::ip(Families::only(family), Policy::default());
            ProtocolPlan { name: grant.kind().to_owned(), grant, private: false }
        })
        .into()
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 2020-01-01T00:00:00Z: where virtual time begins unless a scenario says otherwise.
pub const DEFAULT_EPOCH: Duration = Duration::from_secs(1_577_836_800);

/// A device that ports belong to, by its place in the plan's list of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceRef {
    Guest(usize),
    Switch(usize),
    Router(usize),
    Tap(usize),
    Service(usize),
}

/// One end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRef {
    pub device: DeviceRef,
    /// Guests, routers and services: index of the interface. Switches: the switch's own ports, counted from 0 in
    /// the order of [`Plan::links`]. TAPs: 0.
    pub index: usize,
    /// As captures and reports name it: `client` (its `eth0`), `client.eth1`, `r1.lan`, `lan.0`, `tap0`.
    pub name: String,
}

/// A cable between two ports.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkPlan {
    /// Labels its random streams: `link:NAME:0` for the first direction, `link:NAME:1` for the second.
    /// `PORT:SWITCH`, such as `client.eth1:lan`, for what the key `network` plugs in.
    pub name: String,
    pub ends: [PortRef; 2],
    /// `[0]`: from `ends[0]` to `ends[1]`; `[1]`: back.
    pub directions: [LinkParameters; 2],
}

#[derive(Clone, Debug, PartialEq)]
pub struct SwitchPlan {
    pub name: String,
    pub ports: usize,
    /// How long a learned address is kept without traffic (300 s, IEEE 802.1Q 8.8.3).
    pub ageing: Duration,
    /// Groups go to ports whose hosts reported them (RFC 4541).
    pub snooping: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RouterPlan {
    pub name: String,
    pub interfaces: Vec<InterfaceConfig>,
    /// What each interface advertises.
    pub advertise: Vec<Option<Advertise>>,
    /// The server at its only interface: it is no router, but forwards as one would, between none.
    pub dhcp: Option<ServerConfig>,
    pub routes: Vec<Route>,
}

/// A TAP device of the machine, for the live driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapPlan {
    pub name: String,
    /// Kernel interface name, such as `gn0`.
    pub device: String,
    /// Name of the network namespace (`ip netns`) that it is opened in; `None`: the current one.
    pub netns: Option<String>,
}

/// A folder whose sockets guests may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFolderPlan {
    pub path: PathBuf,
    /// Where the scenario names it: `lab.toml:3:8`.
    pub place: String,
}

/// A node that runs a program of guestnet's own.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePlan {
    pub name: String,
    pub interfaces: Vec<InterfaceConfig>,
    pub routes: Vec<Route>,
    pub kind: ServiceKind,
}

/// What a service does, and with what.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceKind {
    Dns(Zones),
    /// Of paths: which Unix-domain socket is bound where.
    Directory,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GuestPlan {
    pub name: String,
    /// A `.wasm` or `.wat` file.
    pub module: PathBuf,
    /// Where the scenario names it, in bytes of its text; empty for a guest made in code.
    pub module_at: Range<usize>,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub stdin: StdinPlan,
    pub directories: Vec<DirectoryPlan>,
    pub interfaces: Vec<InterfaceConfig>,
    /// How each of them comes by more addresses.
    pub automatic: Vec<Automatic>,
    /// How long its start waits for those.
    pub address_wait: Duration,
    /// `unix0`, on the network of Unix-domain sockets, if it has any: behind the others.
    pub unix: Option<InterfaceConfig>,
    pub routes: Vec<Route>,
    /// Controls handed over listening already, from descriptor 3 on.
    pub listeners: Vec<ListenerPlan>,
    /// Connections made before it runs, behind the listeners.
    pub connections: Vec<ConnectionPlan>,
    pub protocols: Vec<ProtocolPlan>,
    /// Linear memory limit in bytes.
    pub memory_bytes_max: u64,
    /// Units of fuel, about an instruction each, that take a second of virtual time.
    pub cpu_hz: u64,
    /// Fuel limit (about one unit an instruction); `None`: no limit.
    pub fuel_max: Option<u64>,
    /// Objects a guest may hold open at once.
    pub descriptors_max: usize,
    /// Bytes that its sockets' buffers may take of the host.
    pub buffer_bytes_max: u64,
    /// How long its stack may live on after it exited to have written bytes acknowledged.
    pub linger: Duration,
    /// When it starts, after the lab began.
    pub start: Duration,
    /// The lab does not wait for it: it is stopped when all the others have ended.
    pub background: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StdinPlan {
    /// End of file at once.
    Empty,
    Text(String),
    File(PathBuf),
    /// The terminal's or pipe's own (one guest, live driver).
    Inherit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPlan {
    /// As the guest sees it.
    pub guest: String,
    pub host: PathBuf,
    pub writable: bool,
}

impl DirectoryPlan {
    /// Which of a guest's directories a file of its own is in, the innermost, and the file's path from there on. `None`: in none,
    /// or the path names no file.
    pub fn of<'a>(directories: &'a [DirectoryPlan], file: &str) -> Option<(&'a DirectoryPlan, PathBuf)> {
        // A guest's directory may be `.` or `/`, which is where all of its paths begin.
        let parts = |path: &str| -> Option<PathBuf> {
            let is_named = |part: &&str| !matches!(*part, "" | ".");
            let parts = path.split('/').filter(is_named);
            parts.map(|part| (part != "..").then_some(part)).collect()
        };
        let file = parts(file)?;
        let within = directories.iter().filter_map(|directory| {
            let rest = file.strip_prefix(parts(&directory.guest)?).ok()?;
            (!rest.as_os_str().is_empty()).then(|| (directory, rest.to_owned()))
        });
        within.min_by_key(|(_, rest)| rest.components().count())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListenerPlan {
    pub name: String,
    /// Name of the guest's protocol object that it is opened from.
    pub protocol: String,
    /// As `open` takes it: `0.0.0.0:80`.
    pub bind: String,
    pub kind: SocketKind,
    pub backlog: usize,
}

/// A connection that is there when the guest begins.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionPlan {
    pub name: String,
    /// Name of the guest's protocol object that it is made with.
    pub protocol: String,
    /// As `open` takes it.
    pub bind: String,
    /// As `connect` takes it.
    pub address: String,
    pub kind: SocketKind,
    /// How long it is tried again where the first try failed.
    pub retry: Duration,
}

/// A protocol object granted to a guest.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolPlan {
    /// As `NETWORKING_FDS` and `fd_prestat_dir_name` tell it; the kind's name unless the scenario names it.
    pub name: String,
    pub grant: Grant,
    /// Listeners are opened from it; the guest itself gets no descriptor.
    pub private: bool,
}
