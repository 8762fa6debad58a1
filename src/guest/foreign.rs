//! Files that are no guests, told by how they begin: what each is, and what would work.

/// What a file is that is no core module, and what to do about it; `None` if it may be one, or is text.
pub(super) fn recognise(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const COMPILE: &str = "compile the program for WASI preview 1 (the target wasm32-wasip1)";
    const COMPONENT: (&str, &str) = (
        "is a WebAssembly component",
        "guests are core modules: compile the program for WASI preview 1 (the target wasm32-wasip1, not wasm32-wasip2)",
    );
    let found = match bytes {
        [] => ("is empty", "was its compiler interrupted?"),
        // The layer is the component model's, whatever its version.
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => COMPONENT,
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => return None,
        [b'\0', b'a', b's', b'm', ..] => ("is WebAssembly of another version than 1", COMPILE),
        [0x7f, b'E', b'L', b'F', ..] => ("is a native program or library (ELF)", COMPILE),
        [b'B', b'C', 0xC0, 0xDE, ..] => ("is LLVM bitcode", COMPILE),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => {
            ("is a static library", "link it into a program, and run that")
        }
        [b'#', b'!', ..] => {
            ("is a script", "a guest is WebAssembly: an interpreter compiled for it can run scripts")
        }
        [0x1f, 0x8b, ..] => ("is compressed with gzip", "gunzip it"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("is compressed with zstd", "unzstd it"),
        [b'P', b'K', 3, 4, ..] => ("is a ZIP archive", "unpack it"),
        _ if first_word(bytes).is_some_and(|word| word == b"component") => COMPONENT,
        _ => return None,
    };
    Some(found)
}

/// What stands behind the first parenthesis of a text, comments left out.
fn first_word(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text.trim_ascii_start();
    while rest.starts_with(b";;") {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        rest = rest[end..].trim_ascii_start();
    }
    let rest = rest.strip_prefix(b"(")?.trim_ascii_start();
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// Where a module comes from that imports from `module`, and what would work in its place.
pub(super) fn origin(module: &str) -> Option<&'static str> {
    Some(match module {
        "env" => "it has functions left to link, or is Emscripten's: link it whole, for wasm32-wasip1",
        "wasi_unstable" => "it is of before preview 1: compile it with a newer SDK",
        "wasi" => "it has threads, which guests do not have: compile it for wasm32-wasip1, without them",
        "gojs" | "go" => "it is made for browsers: compile it with GOOS=wasip1",
        "wbg" | "__wbindgen_placeholder__" => {
            "it is made for browsers: compile it for wasm32-wasip1, without wasm-bindgen"
        }
        _ if module.starts_with("wasi:") => {
            "it is a component's core: compile the program for WASI preview 1 (the target wasm32-wasip1)"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin() {
        let what = |bytes: &[u8]| recognise(bytes).map(|(what, _)| what);
        assert_eq!(what(b"\0asm\x01\0\0\0"), None);
        assert_eq!(what(b"(module)"), None);
        assert_eq!(what(b"some text"), None);
        assert_eq!(what(b"\0asm\x0d\0\x01\0"), Some("is a WebAssembly component"));
        assert_eq!(what(b" ;; a comment\n\n ( component $x)"), Some("is a WebAssembly component"));
        assert_eq!(what(b";; a comment and no more"), None);
        assert_eq!(what(b"\x7fELF\x02"), Some("is a native program or library (ELF)"));
        assert_eq!(what(b""), Some("is empty"));
        assert_eq!(what(b"\0as"), None);
    }
}
