//! Labs that put on the wire what the words of filters are about.

/// A transfer over IPv6 through a line that loses frames.
pub const LOSSY: &str = r#"
seed = 7
duration = "60s"
[switch.paris]
subnets = ["fd00:1::/64"]
[switch.oslo]
subnets = ["fd00:2::/64"]
[router.r1]
gateway = "fd00:ff::2"
interface.lan.network = "paris"
interface.wan.addresses = ["fd00:ff::1/64"]
[router.r2]
gateway = "fd00:ff::1"
interface.lan.network = "oslo"
interface.wan.addresses = ["fd00:ff::2/64"]
[link.line]
ends = ["r1.wan", "r2.wan"]
delay = "10ms"
rate = "20Mbit"
loss = "2%"
[guest.receiver]
module = "GUESTS/bulk_receiver.wasm"
args = ["ipv6", "[::]:5001"]
network = "paris"
[guest.sender]
module = "GUESTS/bulk_sender.wasm"
args = ["ipv6", "[fd00:1::2]:5001", "1"]
network = "oslo"
"#;

/// Many connections over IPv4 through a line that loses much: handshakes and ends are lost too.
pub const MANY: &str = r#"
seed = 3
duration = "120s"
[switch.lan]
[guest.server]
module = "GUESTS/poll_server.wasm"
args = ["0.0.0.0:7"]
background = true
link = { delay = "5ms", loss = "10%" }
[guest.client]
module = "GUESTS/many_client.wasm"
args = ["10.0.0.2:7", "20", "20000"]
"#;

/// Datagrams in fragments, a port that is closed, a host that is not there.
pub const MIXED: &str = r#"
duration = "20s"
[switch.lan]
[guest.server]
module = "GUESTS/echo_server.wasm"
args = ["0.0.0.0:7", "dgram", "1000"]
background = true
[guest.client]
module = "GUESTS/echo_client.wasm"
args = ["10.0.0.2:7", "dgram", "hello", "3"]
[guest.large]
module = "GUESTS/echo_client.wasm"
args = ["10.0.0.2:7", "dgram", "LARGE", "3"]
[guest.nobody]
module = "GUESTS/echo_client.wasm"
args = ["10.0.0.2:9", "dgram", "hello", "1"]
[guest.refused]
module = "GUESTS/echo_client.wasm"
args = ["10.0.0.2:80", "stream", "hello", "1"]
[guest.lost]
module = "GUESTS/echo_client.wasm"
args = ["10.0.0.99:80", "stream", "hello", "1"]
"#;
