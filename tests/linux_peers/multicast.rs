//! Groups and broadcasts over a TAP: Python's sockets both ways, and multicast DNS with python-zeroconf.

use std::fs;
use std::process::{Child, Stdio};

use crate::common::capture::{OURS, check, count};
use crate::common::lab::Site;

/// Answers what comes to a group, or to everybody, and says so; arguments: family, group or `-`, port.
const HEAR: &str = r#"
import socket, struct, sys
family, group, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
six = family == "6"
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.bind(("", port))
index = socket.if_nametoindex("gn0")
if group != "-" and six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
elif group != "-":
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", socket.inet_aton(group), b"\0" * 4, index))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    print("had", data.decode(), "from", peer[0], flush=True)
    s.sendto(b"python heard " + data, peer)
"#;

/// Sends to a group or to everybody, and prints answers; arguments: family, address, port, text, answers.
const SAY: &str = r#"
import socket, struct, sys
family, address, port, text, answers = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
six = family == "6"
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.settimeout(20)
index = socket.if_nametoindex("gn0")
if six:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", index))
elif address != "255.255.255.255":
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", b"\0" * 4, b"\0" * 4, index))
else:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"gn0")
s.sendto(text.encode(), (address, port))
for _ in range(answers):
    data, peer = s.recvfrom(2000)
    print(data.decode(), "from", peer[0], flush=True)
"#;

/// Registers a service of the host `linux.local`, and looks for the guest's.
const ZEROCONF: &str = r#"
import socket, sys, time
from zeroconf import ServiceInfo, Zeroconf, InterfaceChoice, IPVersion
zc = Zeroconf(interfaces=["10.0.0.1"], ip_version=IPVersion.V4Only)
zc.register_service(ServiceInfo("_peer._tcp.local.", "linux._peer._tcp.local.", addresses=[socket.inet_aton("10.0.0.1")], port=7, server="linux.local."))
print("registered", flush=True)
info = None
for _ in range(20):
    info = zc.get_service_info("_lab._tcp.local.", "guest._lab._tcp.local.", timeout=1000)
    if info and info.addresses:
        break
print("found", socket.inet_ntoa(info.addresses[0]), info.port, info.server, flush=True)
time.sleep(60)
"#;

/// A program of Python's that is stopped by its id at the end; what it says goes into a file.
struct Python {
    child: Child,
    said: std::path::PathBuf,
}

impl Python {
    fn start(site: &Site, name: &str, program: &str, arguments: &str) -> Python {
        let (path, said) = (site.path(&format!("{name}.py")), site.path(&format!("{name}.out")));
        fs::write(&path, program).unwrap();
        // Debian's own, which has Debian's modules.
        let line = format!("/usr/bin/python3 {} {arguments}", path.display());
        let mut command = site.namespace.command(line.trim_end());
        let errors = fs::File::create(site.path(&format!("{name}.err"))).unwrap();
        let child =
            command.stdout(fs::File::create(&said).unwrap()).stderr(Stdio::from(errors)).spawn().unwrap();
        Python { child, said }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    fn wait_for(&self, text: &str) {
        let deadline = std::time::Instant::now() + crate::common::lab::PATIENCE;
        while !self.said().contains(text) {
            assert!(std::time::Instant::now() < deadline, "no `{text}` in {:?}", self.said());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn python_hears_guests() {
    let site = Site::new();
    let four = Python::start(&site, "four", HEAR, "4 239.1.2.3 5000");
    let six = Python::start(&site, "six", HEAR, "6 ff05::99 5001");
    let all = Python::start(&site, "all", HEAR, "4 - 5002");
    for peer in [&four, &six, &all] {
        peer.wait_for("ready");
    }
    let ask = |name: &str, peer: &str| {
        format!(
            "[guest.{name}]\nmodule = \"GUESTS/group.wasm\"\nargs = [\"ask\", \"{peer}\", \"hello {name}\", \"1500\"]\n"
        )
    };
    let mut lab = site.start(
        &[
            // Groups beyond the link lead out of the lab.
            ask("four", "239.1.2.3:5000") + "protocol.ipv4.connect = \"239.1.2.3:5000\"\n",
            ask("six", "[ff05::99]:5001") + "protocol.ipv6.connect = \"[ff05::99]:5001\"\n",
            ask("all", "255.255.255.255:5002"),
            ask("subnet", "10.0.0.255:5002"),
        ]
        .concat(),
    );
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    for (name, from) in [
        ("four", "10.0.0.1:5000"),
        ("all", "10.0.0.1:5002"),
        ("subnet", "10.0.0.1:5002"),
        ("six", "[fd00::1]:5001"),
    ] {
        let answer = format!("{name}: {from} to ");
        let line = ended.stdout.lines().find(|line| line.starts_with(&answer));
        assert!(line.is_some_and(|line| line.ends_with(&format!("python heard hello {name}"))), "{ended:?}");
    }
    assert!(four.said().contains("had hello four from 10.0.0.2"), "{}", four.said());
    assert!(six.said().contains("had hello six from fd00::3"), "{}", six.said());
    check(&lab.capture());
}

#[test]
fn guests_hear_python() {
    let site = Site::new();
    let mut lab = site.ready(
        "[guest.one]\nmodule = \"GUESTS/group.wasm\"\nargs = [\"listen\", \"0.0.0.0:5000\", \"239.1.2.3\", \"2\"]\n\
         [guest.two]\nmodule = \"GUESTS/group.wasm\"\nargs = [\"listen\", \"239.1.2.3:5000\", \"239.1.2.3\", \"1\"]\n\
         [guest.six]\nmodule = \"GUESTS/group.wasm\"\nargs = [\"listen\", \"[::]:5001\", \"ff05::99\", \"1\"]\n",
    );
    lab.wait_until("three listeners", |lab| lab.said("stdout").matches("listening").count() == 3);
    let four = Python::start(&lab.site, "four", SAY, "4 239.1.2.3 5000 from-python 2");
    four.wait_for("heard from-python from 10.0.0.2");
    four.wait_for("heard from-python from 10.0.0.3");
    let six = Python::start(&lab.site, "six", SAY, "6 ff05::99 5001 over-six 1");
    six.wait_for("heard over-six from ");
    let all = Python::start(&lab.site, "all", SAY, "4 255.255.255.255 5000 to-all 1");
    all.wait_for("heard to-all from 10.0.0.2");
    let ended = lab.end();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    check(&lab.capture());
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    // Each tells of its group twice, and leaves it.
    assert!(
        ours("igmp.type == 0x22 && igmp.record_type == 4") >= 2
            && ours("igmp.type == 0x22 && igmp.record_type == 3") >= 2
    );
    assert!(
        ours(
            "icmpv6.type == 143 && icmpv6.mldr.mar.record_type == 4 && icmpv6.mldr.mar.multicast_address == ff05::99"
        ) >= 1
    );
}

#[test]
fn a_guest_and_zeroconf_find_one_another() {
    // It speaks when there is somebody at the other end of the TAP.
    let mut lab = Site::new().ready(
        "[guest.asker]\nmodule = \"GUESTS/mdns.wasm\"\nargs = [\"ask\", \"linux.local\", \"60\"]\n\
         [guest.found]\nmodule = \"GUESTS/mdns.wasm\"\nargs = [\"answer\", \"600\"]\n",
    );
    let zeroconf = Python::start(&lab.site, "pair", ZEROCONF, "");
    zeroconf.wait_for("registered");
    lab.wait_for("asker: linux.local is 10.0.0.1");
    zeroconf.wait_for("found 10.0.0.3 80 guest.local.");
    lab.finish();
}
