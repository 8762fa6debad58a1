//! Scenario files: any text gives a plan or located mistakes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = guestnet::scenario::parse(text, Path::new("fuzz.toml")) {
        assert!(error.mistakes().count() > 0, "refused without a reason");
        for mistake in error.mistakes() {
            assert!(mistake.line >= 1 && mistake.column >= 1);
            assert!(mistake.span.offset() + mistake.span.len() <= text.len());
        }
    }
});
