//! Addresses both ways: dnsmasq gives a guest its own, and Linux gets one from a lab; and who has an address already says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::common::capture::{OURS, check, count};
use crate::common::lab::{Lab, Site};
use crate::common::peer::Peer;

fn dnsmasq(site: &Site, options: &str) -> Peer {
    let leases = site.path("leases");
    let line = format!(
        "dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --port=0 --interface=gn0 \
         --bind-interfaces --no-ping --dhcp-leasefile={} {options}",
        leases.display()
    );
    Peer(site.namespace.start(&line.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// What the namespace's end of the TAP has.
fn addresses(lab: &Lab) -> String {
    lab.namespace().run("ip address show dev gn0")
}

#[test]
fn a_guest_has_its_addresses_from_dnsmasq() {
    let site = Site::new();
    let _dnsmasq = dnsmasq(
        &site,
        "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,2m --dhcp-authoritative \
         --dhcp-host=02:00:00:00:00:01,10.0.0.77 --dhcp-option=option:router,10.0.0.1 \
         --enable-ra --dhcp-range=fd00::,ra-only,64,10m",
    );
    let mut lab = site.start(
        "[guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n\
         addresses = [\"dhcp\", \"slaac\"]\n\
         [guest.other]\nmodule = \"GUESTS/idle.wasm\"\naddresses = \"dhcp\"\n",
    );
    // By reservation, out of the range, and of the prefix.
    lab.wait_until("an answer from the reserved address", |lab| {
        lab.namespace().command("ping -n -q -c 1 -W 1 10.0.0.77").output().unwrap().status.success()
    });
    lab.wait_until("an answer from the made address", |lab| {
        let ping = "ping -6 -n -q -c 1 -W 1 fd00::ff:fe00:1";
        lab.namespace().command(ping).output().unwrap().status.success()
    });
    lab.wait_until("two leases", |lab| {
        let leases = fs::read_to_string(lab.site.path("leases")).unwrap_or_default();
        leases.contains("02:00:00:00:00:01 10.0.0.77") && leases.contains("02:00:00:00:00:02 10.0.0.5")
    });
    lab.namespace().run("nc -z -w 5 10.0.0.77 7");
    lab.finish();
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    assert!(ours("dhcp.option.dhcp == 1") >= 2 && ours("dhcp.option.dhcp == 3") >= 2);
    assert!(ours("arp.isprobe == 1") >= 2, "asked for before they are used");
    assert!(ours("icmpv6.type == 133") >= 1 && ours("icmpv6.type == 135 && ipv6.src == ::") >= 2);
}

#[test]
fn linux_has_its_addresses_from_a_lab() {
    let site = Site::new();
    site.namespace.run("ip address flush dev gn0 scope global");
    for setting in ["accept_ra=2", "router_solicitations=3", "autoconf=1", "accept_dad=1"] {
        site.namespace.run(&format!("sysctl -q -w net.ipv6.conf.gn0.{setting}"));
    }
    let script = site.path("lease");
    fs::write(
        &script,
        "#!/bin/sh\n\
         case $1 in\n\
         bound | renew) ip address replace \"$ip/$mask\" dev \"$interface\"; echo \"$1 $ip $router $dns $lease\" ;;\n\
         deconfig) ip -4 address flush dev \"$interface\" ;;\n\
         esac\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut lab = site.start(
        "[dhcp.leases]\nrange = \"10.0.0.150-10.0.0.159\"\nlease = \"2min\"\nrouter = \"10.0.0.1\"\ndns = \"10.0.0.53\"\n\
         [router.r1]\n[router.r1.interface.lan]\nnetwork = \"lan\"\n\
         addresses = [\"10.0.0.1/24\", \"fd00:5::1/64\"]\nadvertise = { dns = \"fd00:5::53\" }\n\
         [guest.echo]\nmodule = \"GUESTS/echo_server.wasm\"\nargs = [\"0.0.0.0:7\"]\n\
         addresses = [\"10.0.0.9/24\", \"fd00:5::9/64\"]\n",
    );
    lab.wait_until("an address of the prefix", |lab| {
        let text = addresses(lab);
        text.contains("inet6 fd00:5::") && !text.contains("tentative")
    });
    assert!(lab.namespace().run("ip -6 route").contains("default via fe80::"), "the router is the way out");
    lab.namespace().run("ping -6 -n -q -c 1 -W 5 fd00:5::9");

    let told = lab
        .namespace()
        .run(&format!("udhcpc -f -q -n -t 10 -T 1 -i gn0 -s {}", lab.site.path("lease").display()));
    assert!(told.contains("bound 10.0.0.150 10.0.0.1 10.0.0.53 120"), "{told}");
    assert!(addresses(&lab).contains("inet 10.0.0.150/24"));
    lab.namespace().run("ping -n -q -c 1 -W 5 10.0.0.9");
    lab.namespace().run("nc -z -w 5 10.0.0.9 7");
    // The same client again: it is known.
    let again =
        format!("udhcpc -f -q -n -t 10 -T 1 -i gn0 -r 10.0.0.150 -s {}", lab.site.path("lease").display());
    assert!(lab.namespace().run(&again).contains("bound 10.0.0.150"));
    lab.finish();
}

#[test]
fn who_has_an_address_says_so_both_ways() {
    let site = Site::new();
    site.namespace.run("ip address add fd00::2/64 dev gn0 nodad");
    site.namespace.run("sysctl -q -w net.ipv6.conf.gn0.accept_dad=1");
    // It asks for fd00::2, which Linux has; 10.0.0.2 it keeps.
    let mut lab = site
        .ready("[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\n[guest.other]\nmodule = \"GUESTS/idle.wasm\"\n");
    // Past the second in which the guests ask themselves: who asks meanwhile has it no more than they.
    std::thread::sleep(Duration::from_millis(1500));
    lab.namespace().run("ip address add fd00::3/64 dev gn0");
    lab.wait_until("Linux to give up fd00::3", |lab| addresses(lab).contains("dadfailed"));
    let ended = lab.finish();
    assert!(ended.stderr.contains("1 address that another has"), "{ended:?}");
    check(&lab.capture());
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    assert!(ours("icmpv6.type == 136 && icmpv6.nd.na.target_address == fd00::3") >= 1);
    assert_eq!(ours("icmpv6.type == 136 && icmpv6.nd.na.target_address == fd00::2"), 0);
}
