//! Flows of datagrams whose address the node has no longer.

use guestnet::error::Error;

use crate::cable::{at, exchange, feed, flow, is_question, settle, stack, udp};

const OWN: [&str; 2] = ["10.0.0.1", "fd00::1"];
const PEER: [&str; 2] = ["10.0.0.2:9", "[fd00::2]:9"];
const ANY: [&str; 2] = ["0.0.0.0:500", "[::]:500"];

#[test]
fn a_flow_is_over_with_its_address() {
    for family in 0..2 {
        let (mut one, mut two) = (stack(1), stack(2));
        let (port, there) = (udp(&mut one, ANY[family]), udp(&mut two, ["0.0.0.0:9", "[::]:9"][family]));
        two.udp_listen(there, 8).unwrap();
        let flow_there = flow(&mut one, port, PEER[family]);
        one.flow_write(flow_there, b"hello").unwrap();
        exchange(&mut one, &mut two, at(0));
        let back = two.udp_accept(there).unwrap();
        assert_eq!(two.flow_addresses(back).unwrap().1.ip().to_string(), OWN[family]);
        two.flow_write(back, b"before").unwrap();
        exchange(&mut one, &mut two, at(1));

        // One more waits to be sent, and another is on its way.
        one.flow_write(flow_there, b"too late").unwrap();
        two.flow_write(back, b"after").unwrap();
        let late = settle(&mut two, at(2)).swap_remove(0);
        let addresses = ["10.0.0.5/24", "fd00::5/64"].map(|cidr| cidr.parse().unwrap());
        one.rebind(at(2), 0, &addresses);
        let left = settle(&mut one, at(2));
        assert!(!left.iter().any(|frame| frame.ends_with(b"too late")), "from an address that is gone");

        assert_eq!(one.flow_read(flow_there, &mut [0; 9], false), Ok((6, 6)), "it came in time");
        assert_eq!(one.flow_read(flow_there, &mut [0; 9], false), Err(Error::AddressNotAvailable));
        feed(&mut one, at(3), late);
        assert_eq!(
            one.flow_read(flow_there, &mut [0; 9], false),
            Err(Error::WouldBlock),
            "not for us any more"
        );
        for _ in 0..3 {
            assert!(one.flow_readiness(flow_there).write);
            assert_eq!(one.flow_write(flow_there, b"?"), Err(Error::AddressNotAvailable));
        }
        assert!(settle(&mut one, at(4)).iter().all(is_question));

        // Where the address comes back, another flow takes its place, which nobody takes away again.
        let again = [format!("{}/24", OWN[0]), format!("{}/64", OWN[1])].map(|cidr| cidr.parse().unwrap());
        one.rebind(at(5), 0, &again);
        assert_eq!(one.flow_write(flow_there, b"?"), Err(Error::AddressNotAvailable));
        let anew = flow(&mut one, port, PEER[family]);
        one.flow_release(flow_there);
        one.flow_write(anew, b"again").unwrap();
        exchange(&mut one, &mut two, at(6));
        assert_eq!(two.flow_read(back, &mut [0; 9], false), Ok((5, 5)));
        two.flow_write(back, b"heard").unwrap();
        exchange(&mut one, &mut two, at(7));
        assert_eq!(one.flow_read(anew, &mut [0; 9], false), Ok((5, 5)));
    }
}
