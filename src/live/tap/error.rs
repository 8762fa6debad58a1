//! Why a TAP cannot be opened or used, and what the person at the terminal can do about it.

use std::io;

use miette::Diagnostic;
use thiserror::Error;

/// What [`Tap::open`](super::Tap::open) answers when it cannot, and how a lab ends whose TAP is taken away. The help
/// says what would mend it.
#[derive(Debug, Error, Diagnostic)]
pub enum TapError {
    #[error("`{device}` cannot name a TAP")]
    #[diagnostic(help("a device's name has 1 to 15 bytes, without spaces, `/`, `:` and `%`; this one has {}", .device.len()))]
    DeviceName { device: String },

    #[error("`{netns}` cannot name a network namespace")]
    #[diagnostic(help("give the name alone, as `ip netns list` shows it, not a path"))]
    NamespaceName { netns: String },

    #[error("there is no network namespace `{netns}`")]
    #[diagnostic(help(
        "make it together with its TAP: netns/up --netns {netns}\nor alone: ip netns add {netns}"
    ))]
    NamespaceMissing { netns: String },

    #[error("the network namespace `{netns}` cannot be entered")]
    #[diagnostic(help(
        "/run/netns/{netns} is there, but may be what is left of a namespace; make it anew: ip netns delete {netns}; \
         netns/up --netns {netns}"
    ))]
    NamespaceEntry {
        netns: String,
        #[source]
        source: io::Error,
    },

    #[error("no permission to {what}")]
    #[diagnostic(help(
        "run guestnet as root, or with sudo; as /dev/net/tun is open to root alone on most machines, `unshare -Urn` \
         does not suffice"
    ))]
    Permission {
        /// Ends the sentence "no permission to".
        what: String,
        #[source]
        source: io::Error,
    },

    #[error("/dev/net/tun is missing")]
    #[diagnostic(help(
        "load the kernel module: modprobe tun\nor give the container the device: --device /dev/net/tun"
    ))]
    Driver {
        #[source]
        source: io::Error,
    },

    #[error("the TAP `{device}` is busy: another program has it open")]
    #[diagnostic(help("end that program (another guestnet?), or use a TAP with another name"))]
    Busy { device: String },

    #[error("the device `{device}` is there, but it is no TAP with a single queue")]
    #[diagnostic(help(
        "use another name; netns/up and `ip tuntap add dev NAME mode tap` make TAPs that fit"
    ))]
    Kind { device: String },

    #[error("the TAP `{device}` is down, and guestnet may not put it up")]
    #[diagnostic(help("as root: ip link set dev {device} up"))]
    Down {
        device: String,
        #[source]
        source: io::Error,
    },

    #[error("the TAP `{device}` went away while the lab ran")]
    #[diagnostic(help(
        "something removed the device or its namespace; `netns/up` makes both again, and `ip monitor link` shows who"
    ))]
    Gone {
        device: String,
        #[source]
        source: io::Error,
    },

    #[error("the TAP `{device}` cannot be opened: {what} failed")]
    System {
        device: String,
        /// The step that failed.
        what: &'static str,
        #[source]
        source: io::Error,
    },
}
