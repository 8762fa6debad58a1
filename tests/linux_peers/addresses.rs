//! Addresses both ways: dnsmasq gives a guest its own, and Linux gets one from a lab; and who has an address already says so.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::common::capture::{OURS, check, count};
use crate::common::lab::{Lab, Site};
use crate::common::peer::Peer;

/// A server whose books are the file `leases`.
fn dnsmasq(site: &Site, leases: &str, options: &str) -> Peer {
    let leases = site.path(leases);
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
        "leases",
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

/// What a server is asked to have renewed after four seconds, and from whoever answers after eight; leases it gives for two
/// minutes at least.
const TIMES: &str = "--dhcp-option=option:T1,4 --dhcp-option=option:T2,8";

/// When the lease of the first guest ends, in dnsmasq's books, and its address.
fn lease(lab: &Lab, name: &str) -> Option<(u64, String)> {
    let leases = fs::read_to_string(lab.site.path(name)).unwrap_or_default();
    let mut fields = leases.lines().find(|line| line.contains("02:00:00:00:00:01"))?.split(' ');
    Some((fields.next()?.parse().ok()?, fields.nth(1)?.to_owned()))
}

fn answers(lab: &Lab, address: &str) -> bool {
    lab.namespace().command(&format!("ping -n -q -c 1 -W 1 {address}")).output().unwrap().status.success()
}

#[test]
fn a_guest_renews_with_dnsmasq_is_refused_after_a_change_of_range_and_declines_what_another_has() {
    let site = Site::new();
    let first = dnsmasq(
        &site,
        "leases",
        &format!("--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,2m --dhcp-authoritative {TIMES}"),
    );
    let mut lab = site.start(
        "[guest.moved]\nmodule = \"GUESTS/idle.wasm\"\naddresses = \"dhcp\"\n\
         [guest.taken]\nmodule = \"GUESTS/idle.wasm\"\naddresses = \"10.0.0.150/24\"\n",
    );
    lab.wait_until("a lease", |lab| lease(lab, "leases").is_some());
    let (ends, before) = lease(&lab, "leases").unwrap();
    lab.wait_until("a renewal", |lab| lease(lab, "leases").is_some_and(|(later, _)| later > ends));
    assert_eq!(lease(&lab, "leases").unwrap().1, before);
    drop(first);

    // Another one, that knows of no lease, has another range, and wants to give the client what somebody else has already.
    let _second = dnsmasq(
        &lab.site,
        "leases2",
        &format!(
            "--dhcp-range=10.0.0.150,10.0.0.151,255.255.255.0,2m --dhcp-authoritative \
             --dhcp-host=02:00:00:00:00:01,10.0.0.150 {TIMES}"
        ),
    );
    lab.wait_until("the address that is left", |lab| {
        lease(lab, "leases2").is_some_and(|(_, address)| address == "10.0.0.151")
            && answers(lab, "10.0.0.151")
    });
    assert!(!answers(&lab, &before), "it has let go of the address that was refused");
    lab.finish();
    let seen = |filter: &str| count(&lab.capture(), filter);
    let renewal =
        format!("{OURS} && dhcp.option.dhcp == 3 && ip.src == {before} && dhcp.ip.client == {before}");
    assert!(seen(&format!("{renewal} && ip.dst == 10.0.0.1")) >= 2, "to the server that gave it");
    assert!(seen("dhcp.option.dhcp == 6 && udp.srcport == 67") >= 1, "refused");
    let declined = "dhcp.option.dhcp == 4 && dhcp.option.requested_ip_address == 10.0.0.150";
    assert!(seen(&format!("{OURS} && {declined}")) >= 1);
    assert_eq!(
        seen(&format!("{OURS} && arp.src.hw_mac == 02:00:00:00:00:01 && arp.src.proto_ipv4 == 10.0.0.150")),
        0
    );
}

/// Takes more than two minutes: dnsmasq gives no shorter lease.
#[test]
fn a_lease_that_dnsmasq_renews_no_more_ends_and_is_had_again() {
    let site = Site::new();
    let range = format!("--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,2m --dhcp-authoritative {TIMES}");
    let first = dnsmasq(&site, "leases", &range);
    let mut lab = site.start("[guest.idle]\nmodule = \"GUESTS/idle.wasm\"\naddresses = \"dhcp\"\n");
    lab.wait_until("a lease", |lab| lease(lab, "leases").is_some());
    let (_, address) = lease(&lab, "leases").unwrap();
    lab.wait_until("an answer", |lab| answers(lab, &address));
    drop(first);
    std::thread::sleep(Duration::from_secs(90));
    assert!(answers(&lab, &address), "nobody renews it, and it is not over");
    lab.wait_until("the end of the lease", |lab| !answers(lab, &address));
    let _second = dnsmasq(&lab.site, "leases", &range);
    // It asks for the one that it had.
    lab.wait_until("an answer", |lab| answers(lab, &address));
    lab.finish();
    let ours = |filter: &str| count(&lab.capture(), &format!("{OURS} && {filter}"));
    assert!(
        ours(&format!("dhcp.option.dhcp == 3 && ip.src == {address} && ip.dst == 255.255.255.255")) >= 1,
        "rebinding"
    );
    assert!(ours(&format!("dhcp.option.dhcp == 1 && dhcp.option.requested_ip_address == {address}")) >= 1);
}

#[test]
fn a_router_is_the_way_out_for_as_long_as_it_says() {
    let site = Site::new();
    site.namespace.run("ip address add fd77::1/128 dev lo");
    site.namespace.run("ip link set lo up");
    let advertising = "--enable-ra --dhcp-range=fd00::,ra-only,64,10m --ra-param=gn0,4,12";
    let first = dnsmasq(&site, "leases", advertising);
    let mut lab = site.start(
        "[guest.ping]\nmodule = \"GUESTS/ping.wasm\"\nargs = [\"fd77::1\", \"10000\", \"200\"]\n\
         addresses = \"slaac\"\nprotocol.icmp = { connect = [\"[fd77::1]:*\"] }\n",
    );
    let heard = |lab: &Lab| lab.said("stdout").matches("bytes from fd77::1").count();
    lab.wait_until("answers through the router", |lab| heard(lab) > 0);
    // As it is killed, it cannot say that it goes.
    drop(first);
    lab.wait_for("Network unreachable");
    let before = heard(&lab);
    let _second = dnsmasq(&lab.site, "leases", advertising);
    lab.wait_until("answers again", |lab| heard(lab) > before);
    lab.finish();
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
