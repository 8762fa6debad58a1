//! What a scenario's author hands to TLS: PEM that may be anything, and names.
#![no_main]

use guestnet::protocol::tls::material::{self, Identity};
use guestnet::protocol::tls::name::Name;
use libfuzzer_sys::fuzz_target;

// A name in UTF-8 and a zero; then PEM: certificates and a key.
fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (text, pem) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string().parse(), Ok(name), "a name is what it shows");
    }
    // What is told of a file that is broken has nothing of it in it.
    let told = |problem: &material::Problem| assert!(problem.to_string().len() < 400, "{problem}");
    let _ = material::certificates(pem).inspect_err(told);
    let _ = material::key(pem).inspect_err(told);
    let _ = Identity::from_pem(pem, pem).inspect_err(told);
});
