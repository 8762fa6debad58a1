//! Tests of the whole way from text to plan.

mod expectations;
mod fuzz;
mod icmp;
mod links;
mod mistakes;
mod plans;
mod quic;
mod reference;
mod services;
mod show;
mod timeline;
mod tls;

use std::path::Path;

use super::plan::Plan;

/// The plan of a scenario in `labs/lab.toml`, or its mistakes as text.
fn parse(text: &str) -> Result<Plan, String> {
    super::parse(text, Path::new("labs/lab.toml")).map_err(|error| error.plain())
}

/// A lab with some of everything.
const LAB: &str = r#"
name = "web"
seed = 0xffff_ffff_ffff_ffff
duration = "10s"
epoch = 2024-02-29T12:00:00Z

[switch.lan]
ageing = "60s"

[switch.far]
subnets = ["192.168.7.0/24"]

[router.r1]
routes = [{ to = "10.9.0.0/16", via = "172.16.0.2" }]
[router.r1.interface.lan]
network = "lan"
[router.r1.interface.far]
network = "far"
mtu = 1400
[router.r1.interface.wan]
addresses = ["172.16.0.1/30"]

[guest.server]
module = "bin/server.wasm"
args = ["--port", "80"]
env = { Z = "1", A = "two" }
stdin = "hello"
directories = { "/srv" = "www", "/etc" = { host = "conf", writable = true } }
network = "lan"
link = { delay = "10ms", rate = "10Mbit", loss = "1%", backward = { loss = 0.5, queue = 10 } }
addresses = ["10.0.0.2/24", "fd00::2/64"]
gateway = "10.0.0.1"
mac = "02:aa:00:00:00:01"
memory = "1GiB"
fuel = 1_000_000
descriptors = 16
linger = "1s"
start = "250ms"
[[guest.server.listen]]
name = "web"
bind = "0.0.0.0:80"
[[guest.server.listen]]
protocol = "inside"
bind = "[fd00::2]:53"
kind = "datagram"
backlog = 4
[guest.server.protocol.ipv4]
bind = ["*:80"]
connect = []
[guest.server.protocol.inside]
kind = "ipv6"

[guest.client]
module = "client.wasm"
args = ["{other}"]
network = "far"
[guest.client.interface.eth1]
network = "lan"
mac = "02:00:00:00:00:04"

[guest.idle]
module = "idle.wasm"
count = 2
args = ["{index}"]
network = "lan"

[tap.gn0]
netns = "outside"

[link.up]
ends = ["gn0", "r1.wan"]
delay = "1ms"
forward = { delay = "2ms" }

[[at]]
after = { at = "client.eth1", tcp = "syn", port = 80 }
delay = "1ms..2ms"
link = ["up", "server:lan"]
direction = "backward"
set = { loss = "10%", queue = 7 }

[[at]]
time = "2s"
every = "1s"
times = 3
partition = [["server", "lan"], ["idle-1", "gn0"]]

[[at]]
time = "3s"
rebind = { guest = "server", addresses = "10.0.0.9/24" }
"#;
