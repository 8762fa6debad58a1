//! Scenarios that are right, and what becomes of them.

use std::fs;
use std::path::PathBuf;

use super::show::show;
use super::{LAB, parse};
use crate::scenario::load;
use crate::scenario::plan::{DeviceRef, Plan, StdinPlan, digest};

#[test]
fn a_lab_with_some_of_everything() {
    insta::assert_snapshot!(show(&parse(LAB).unwrap()), @r#"
    "web" seed Some(18446744073709551615) duration Some(10s) epoch 1709208000s
    digest 185f84e1d1263095...
    guest server "labs/bin/server.wasm" ["--port", "80"] [("Z", "1"), ("A", "two")] stdin Text("hello")
      memory 1073741824 cpu 1000000000 fuel Some(1000000) descriptors 16 buffers 4194304 linger 1s start 250ms
      DirectoryPlan { guest: "/srv", host: "labs/www", writable: false }
      DirectoryPlan { guest: "/etc", host: "labs/conf", writable: true }
      eth0 02-aa-00-00-00-01 mtu 1500 10.0.0.2/24 fd00::2/64 fe80::aa:ff:fe00:1/64
      0.0.0.0/0 via 10.0.0.1
      ListenerPlan { name: "web", protocol: "ipv4", bind: "0.0.0.0:80", kind: Stream, backlog: 128 }
      ListenerPlan { name: "listen1", protocol: "inside", bind: "[fd00::2]:53", kind: Datagram, backlog: 4 }
      protocol ipv4 ipv4 bind [*:80] connect []
      protocol inside ipv6 bind anything connect anything
    guest client "labs/client.wasm" ["{other}"] [] stdin Empty
      memory 67108864 cpu 1000000000 fuel None descriptors 1024 buffers 268435456 linger 10s start 0ns
      eth0 02-00-00-00-00-02 mtu 1500 192.168.7.2/24 fe80::ff:fe00:2/64
      eth1 02-00-00-00-00-04 mtu 1500 10.0.0.3/24 fd00::3/64 fe80::ff:fe00:4/64
      0.0.0.0/0 via 192.168.7.1
      ::/0 via fd00::1
      protocol ipv4 ipv4 bind anything connect anything
      protocol ipv6 ipv6 bind anything connect anything
    guest idle-0 "labs/idle.wasm" ["0"] [] stdin Empty
      memory 67108864 cpu 1000000000 fuel None descriptors 1024 buffers 268435456 linger 10s start 0ns
      eth0 02-00-00-00-00-09 mtu 1500 10.0.0.4/24 fd00::4/64 fe80::ff:fe00:9/64
      0.0.0.0/0 via 10.0.0.1
      ::/0 via fd00::1
      protocol ipv4 ipv4 bind anything connect anything
      protocol ipv6 ipv6 bind anything connect anything
    guest idle-1 "labs/idle.wasm" ["1"] [] stdin Empty
      memory 67108864 cpu 1000000000 fuel None descriptors 1024 buffers 268435456 linger 10s start 0ns
      eth0 02-00-00-00-00-05 mtu 1500 10.0.0.5/24 fd00::5/64 fe80::ff:fe00:5/64
      0.0.0.0/0 via 10.0.0.1
      ::/0 via fd00::1
      protocol ipv4 ipv4 bind anything connect anything
      protocol ipv6 ipv6 bind anything connect anything
    SwitchPlan { name: "lan", ports: 5, ageing: 60s, snooping: true }
    SwitchPlan { name: "far", ports: 2, ageing: 300s, snooping: true }
    router r1
      lan 02-00-00-00-00-06 mtu 1500 10.0.0.1/24 fd00::1/64 fe80::ff:fe00:6/64
      far 02-00-00-00-00-07 mtu 1400 192.168.7.1/24 fe80::ff:fe00:7/64
      wan 02-00-00-00-00-08 mtu 1500 172.16.0.1/30 fe80::ff:fe00:8/64
      10.9.0.0/16 via 172.16.0.2
    TapPlan { name: "gn0", device: "gn0", netns: Some("outside") }
    link server:lan
      Guest(0) 0 server -> delay 10ms, rate BytesPerSecond(1250000), loss Random(Chance { probability: 0.01, correlation: 0.0 })
      Switch(0) 0 lan.0 -> delay 10ms, rate BytesPerSecond(1250000), queue QueueLimits { frames_max: 10, bytes_max: None }, loss Random(Chance { probability: 0.5, correlation: 0.0 })
    link client:far
      Guest(1) 0 client -> ideal
      Switch(1) 0 far.0 -> ideal
    link client.eth1:lan
      Guest(1) 1 client.eth1 -> ideal
      Switch(0) 1 lan.1 -> ideal
    link idle-0:lan
      Guest(2) 0 idle-0 -> ideal
      Switch(0) 2 lan.2 -> ideal
    link idle-1:lan
      Guest(3) 0 idle-1 -> ideal
      Switch(0) 3 lan.3 -> ideal
    link r1.lan:lan
      Router(0) 0 r1.lan -> ideal
      Switch(0) 4 lan.4 -> ideal
    link r1.far:far
      Router(0) 1 r1.far -> ideal
      Switch(1) 1 far.1 -> ideal
    link up
      Tap(0) 0 gn0 -> delay 2ms
      Router(0) 2 r1.wan -> delay 1ms
    EntryPlan { when: Packet { port: PortPlan { link: 2, end: 0 }, packet: PacketMatch { protocol: Tcp(Syn), port: Some(80) } }, delay: Span { least: 1ms, most: 2ms }, every: None, until: None, times: None, action: Change { links: [7, 0], directions: [false, true], change: LinkChange { knobs: "\"loss\" = \"10%\"\n\"queue\" = 7", trace: None } } }
    EntryPlan { when: Time(Span { least: 2s, most: 2s }), delay: Span { least: 0ns, most: 0ns }, every: Some(Span { least: 1s, most: 1s }), until: None, times: Some(3), action: Partition([[Guest(0), Switch(0)], [Guest(3), Tap(0)]]) }
    EntryPlan { when: Time(Span { least: 3s, most: 3s }), delay: Span { least: 0ns, most: 0ns }, every: None, until: None, times: None, action: Rebind { guest: 0, interface: 0, addresses: [Ipv4(Cidr { address: 10.0.0.9, prefix_len: 24 }), Ipv6(Cidr { address: fe80::aa:ff:fe00:1, prefix_len: 64 })] } }
    "#);
}

/// Every address that the lab's interfaces have, link-local ones left out.
fn addresses(plan: &Plan) -> Vec<String> {
    let guests = plan.guests.iter().map(|guest| (&guest.name, &guest.interfaces));
    let routers = plan.routers.iter().map(|router| (&router.name, &router.interfaces));
    let mut lines = Vec::new();
    for (name, interfaces) in guests.chain(routers) {
        for interface in interfaces {
            let list =
                interface.addresses.iter().map(ToString::to_string).filter(|text| !text.starts_with("fe80"));
            lines.push(format!("{name}.{} {}", interface.name, list.collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

#[test]
fn the_smallest_lab_is_that_of_a_single_module() {
    let mut written = parse("[guest.server]\nmodule = 'server.wasm'\nstdin = { inherit = true }").unwrap();
    let made = Plan::single(PathBuf::from("labs/server.wasm"), Vec::new());
    assert_eq!(written.name, "lab", "the file's stem");
    written.name = made.name.clone();
    written.digest = digest(b"");
    written.guests[0].module_at = 0..0;
    assert_eq!(written, made);
}

#[test]
fn a_single_modules_name_is_legal() {
    let name = |module: &str| Plan::single(PathBuf::from(module), Vec::new()).guests[0].name.clone();
    assert_eq!(name("/tmp/my server.v2.wasm"), "my-server-v2");
    assert_eq!(name("lan.wasm"), "guest");
    assert_eq!(name(""), "guest");
    assert_eq!(name(&"x".repeat(99)), "x".repeat(32));
}

#[test]
fn guests_stand_in_file_order_and_plug_into_the_only_switch() {
    let plan =
        parse("guest.z.module = 'z'\nguest.a.module = 'a'\n[switch.net]\n[guest.m]\nmodule = 'm'").unwrap();
    assert_eq!(
        addresses(&plan),
        ["z.eth0 10.0.0.2/24 fd00::2/64", "a.eth0 10.0.0.3/24 fd00::3/64", "m.eth0 10.0.0.4/24 fd00::4/64",]
    );
    let names: Vec<_> = plan.links.iter().map(|link| (&*link.name, &*link.ends[1].name)).collect();
    assert_eq!(names, [("z:net", "net.0"), ("a:net", "net.1"), ("m:net", "net.2")]);
    assert_eq!(plan.switches[0].ports, 3);
}

#[test]
fn automatic_addresses_keep_clear_of_written_ones_and_follow_their_subnet() {
    let plan = parse(
        "[guest.a]\nmodule = 'a'\n[guest.b]\nmodule = 'b'\naddresses = '192.168.3.2/28'\n[guest.c]\nmodule = 'c'",
    );
    assert_eq!(
        addresses(&plan.unwrap()),
        ["a.eth0 192.168.3.3/28", "b.eth0 192.168.3.2/28", "c.eth0 192.168.3.4/28"]
    );
}

#[test]
fn many_guests_get_a_larger_subnet() {
    let plan = parse("[guest.g]\nmodule = 'g'\ncount = 300").unwrap();
    let addresses = addresses(&plan);
    assert_eq!(addresses[0], "g-0.eth0 10.0.0.2/16 fd00::2/64");
    assert_eq!(addresses[299], "g-299.eth0 10.0.1.45/16 fd00::12d/64");
}

#[test]
fn joined_switches_share_subnets_and_a_router_is_the_first_host_and_the_gateway() {
    let plan = parse(
        "[guest.a]\nmodule = 'a'\nnetwork = 'one'\n[guest.b]\nmodule = 'b'\nnetwork = 'two'\ngateway = []\n\
         [switch.zero]\n[switch.two]\n[switch.one]\n[link.trunk]\nends = ['one', 'two']\n\
         [router.r.interface.in]\nnetwork = 'two'\n[router.r.interface.out]\nnetwork = 'zero'",
    )
    .unwrap();
    assert_eq!(
        addresses(&plan),
        [
            "a.eth0 10.1.0.2/24 fd00:1::2/64",
            "b.eth0 10.1.0.3/24 fd00:1::3/64",
            "r.in 10.1.0.1/24 fd00:1::1/64",
            "r.out 10.0.0.1/24 fd00::1/64",
        ]
    );
    let hops: Vec<String> =
        plan.guests[0].routes.iter().map(|r| format!("{} via {}", r.prefix, r.via)).collect();
    assert_eq!(hops, ["0.0.0.0/0 via 10.1.0.1", "::/0 via fd00:1::1"]);
    assert!(plan.guests[1].routes.is_empty(), "`gateway = []` asks for none");
    let trunk = plan.links.last().unwrap();
    assert_eq!([trunk.ends[0].device, trunk.ends[1].device], [DeviceRef::Switch(2), DeviceRef::Switch(1)]);
}

#[test]
fn a_small_mtu_leaves_ipv6_out() {
    let plan = parse("[guest.a]\nmodule = 'a'\nmtu = 1279").unwrap();
    let texts: Vec<String> = plan.guests[0].interfaces[0].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.2/24"]);
}

#[test]
fn guests_without_a_switch_are_joined_back_to_back() {
    let plan = parse(
        "[guest.a]\nmodule = 'a'\naddresses = '10.5.0.1/30'\n[guest.b]\nmodule = 'b'\n[link.l]\nends = ['b', 'a.eth0']",
    )
    .unwrap();
    assert_eq!(addresses(&plan), ["a.eth0 10.5.0.1/30", "b.eth0 10.5.0.2/30"]);
    assert_eq!(plan.links[0].ends.each_ref().map(|end| end.name.as_str()), ["b", "a"]);
    assert!(plan.switches.is_empty());
}

#[test]
fn replicas_are_numbered_and_told_their_number() {
    let plan =
        parse("[guest.g]\nmodule = 'g'\ncount = 2\nargs = ['n={index}', '{other}']\nenv = { N = '{index}' }");
    let guests: Vec<_> =
        plan.unwrap().guests.into_iter().map(|guest| (guest.name, guest.args, guest.env)).collect();
    let guest = |n: &str| {
        let args = vec![format!("n={n}"), "{other}".to_owned()];
        (format!("g-{n}"), args, vec![("N".to_owned(), n.to_owned())])
    };
    assert_eq!(guests, [guest("0"), guest("1")]);
}

#[test]
fn load_looks_for_files_beside_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab.toml");
    let text = "[guest.a]\nmodule = 'a.wasm'\nstdin = { file = 'in.txt' }\ndirectories = { '/d' = 'd', '/a' = 'a.wasm' }";
    fs::write(&lab, text).unwrap();
    fs::write(folder.path().join("a.wasm"), "").unwrap();
    let error = load(&lab).unwrap_err();
    let places: Vec<_> = error.mistakes().map(|m| (m.line, m.column, m.message.clone())).collect();
    assert_eq!(
        places,
        [
            (3, 18, "stdin: `in.txt`: No such file or directory (os error 2)".to_owned()),
            (4, 24, "directories: `d`: No such file or directory (os error 2)".to_owned()),
            (4, 36, "directories: `a.wasm`: is not a folder".to_owned()),
        ]
    );

    fs::write(&lab, text.replace(", '/a' = 'a.wasm'", "")).unwrap();
    fs::write(folder.path().join("in.txt"), "").unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    let plan = load(&lab).unwrap();
    assert_eq!(plan.guests[0].module, folder.path().join("a.wasm"));
    assert_eq!(plan.guests[0].stdin, StdinPlan::File(folder.path().join("in.txt")));
}

#[test]
fn load_tells_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().join("lab.toml");
    assert!(
        load(&lab)
            .unwrap_err()
            .to_string()
            .ends_with("lab.toml: cannot be read: No such file or directory (os error 2)")
    );
    fs::write(&lab, b"name = \"x\"\n# \xff").unwrap();
    let error = load(&lab).unwrap_err();
    let places: Vec<_> = error.mistakes().map(|m| (m.line, m.column, &*m.message)).collect();
    assert_eq!(places, [(2, 3, "the file is not UTF-8 from here on")]);
}
