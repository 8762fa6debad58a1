//! The lab of one guest, for running a module without a scenario.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::address::{automatic_mac, nth_host};
use super::plan::{
    DEFAULT_ADDRESS_WAIT, DEFAULT_AGEING, DEFAULT_BUFFER_BYTES_EACH, DEFAULT_CPU_HZ, DEFAULT_DESCRIPTORS,
    DEFAULT_EPOCH, DEFAULT_LINGER, DEFAULT_MEMORY_BYTES, DEFAULT_MTU, DEFAULT_SWITCH, DeviceRef, GuestPlan,
    LinkPlan, Plan, PortRef, StdinPlan, SwitchPlan, TapPlan, default_protocols, digest,
};
use super::resolve::addressing::default_subnets;
use super::resolve::names::names_of;
use crate::dns::resolver::ResolverConfig;
use crate::network::ip::link_local;
use crate::network::{Automatic, InterfaceConfig};

impl Plan {
    /// One guest, named after its module's file, with the caller's standard input, on a switch
    /// `lan`: 10.0.0.2/24, fd00::2/64, no route beyond. The lab of a scenario that names nothing
    /// but the module, but for the standard input.
    pub fn single(module: PathBuf, args: Vec<String>) -> Plan {
        let name = name_of(&module);
        let mac = automatic_mac(1);
        let mut addresses: Vec<_> =
            default_subnets(0, 1).into_iter().filter_map(|subnet| nth_host(subnet, 2)).collect();
        addresses.push(link_local(mac).into());
        let guest = GuestPlan {
            name: name.clone(),
            module,
            module_at: 0..0,
            args,
            env: Vec::new(),
            stdin: StdinPlan::Inherit,
            directories: Vec::new(),
            interfaces: vec![InterfaceConfig { name: "eth0".into(), mac, addresses, mtu: DEFAULT_MTU }],
            automatic: vec![Automatic::default()],
            address_wait: DEFAULT_ADDRESS_WAIT,
            unix: None,
            routes: Vec::new(),
            listeners: Vec::new(),
            connections: Vec::new(),
            protocols: default_protocols(),
            memory_bytes_max: DEFAULT_MEMORY_BYTES,
            cpu_hz: DEFAULT_CPU_HZ,
            fuel_max: None,
            descriptors_max: DEFAULT_DESCRIPTORS,
            buffer_bytes_max: DEFAULT_DESCRIPTORS as u64 * DEFAULT_BUFFER_BYTES_EACH,
            linger: DEFAULT_LINGER,
            start: Duration::ZERO,
            background: false,
        };
        let port = |device, name: &str| PortRef { device, index: 0, name: name.to_owned() };
        let link = LinkPlan {
            name: format!("{name}:{DEFAULT_SWITCH}"),
            ends: [
                port(DeviceRef::Guest(0), &name),
                port(DeviceRef::Switch(0), &format!("{DEFAULT_SWITCH}.0")),
            ],
            directions: Default::default(),
        };
        let mut plan = Plan {
            name,
            seed: None,
            digest: digest(b""),
            duration: None,
            epoch: DEFAULT_EPOCH,
            log_secrets: None,
            authorities: Vec::new(),
            guests: vec![guest],
            switches: vec![SwitchPlan {
                name: DEFAULT_SWITCH.into(),
                ports: 1,
                ageing: DEFAULT_AGEING,
                snooping: true,
            }],
            routers: Vec::new(),
            taps: Vec::new(),
            services: Vec::new(),
            host_folders: Vec::new(),
            links: vec![link],
            timeline: Vec::new(),
            expectations: Vec::new(),
        };
        plan.settle_names();
        plan
    }
}

/// The TAP of a single guest's lab.
const SINGLE_TAP: &str = "tap";

impl Plan {
    /// Plugs a TAP device into the first switch.
    pub fn plug_tap(&mut self, device: &str, netns: Option<String>) {
        let switch = &mut self.switches[0];
        let end = |device, index, name: String| PortRef { device, index, name };
        let ends = [
            end(DeviceRef::Tap(self.taps.len()), 0, device.to_owned()),
            end(DeviceRef::Switch(0), switch.ports, format!("{}.{}", switch.name, switch.ports)),
        ];
        switch.ports += 1;
        let name = format!("{device}:{}", switch.name);
        self.links.push(LinkPlan { name, ends, directions: Default::default() });
        self.taps.push(TapPlan { name: SINGLE_TAP.to_owned(), device: device.to_owned(), netns });
        self.settle_names();
    }
}

impl Plan {
    /// Tells guests' resolvers and policies who there is, and what leads out.
    fn settle_names(&mut self) {
        let config = ResolverConfig { names: Arc::new(names_of(self)), ..Default::default() };
        let config = Arc::new(config);
        for protocol in self.guests.iter_mut().flat_map(|guest| &mut guest.protocols) {
            protocol.grant.settle(&config);
        }
    }
}

/// The file's stem, made a legal name.
fn name_of(module: &Path) -> String {
    let stem = module.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().take(32).map(legal).collect();
    // The switch has that name.
    if name.is_empty() || name == DEFAULT_SWITCH { "guest".to_owned() } else { name }
}
