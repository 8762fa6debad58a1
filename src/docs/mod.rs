//! The guest ABI on paper: what `witx/` says, as a page to read and as a header to include.
//!
//! `markdown` renders `witx/docs.md` and `c_header` renders `sdk/c/networking.h`; both are committed, `scripts/docs`
//! writes them anew, and a test in each file fails when the committed one is stale. Both go through the same
//! parsed [`witx::Document`], so a function, a code or a bit is written down once, in the witx. This folder knows
//! nothing of guests, nodes or the network, and opens no file: the witx is part of the program.

mod c_header;
mod markdown;

pub use c_header::c_header;
pub use markdown::abi_markdown;

use std::rc::Rc;

use witx::{BuiltinType, Document, InterfaceFunc, Module, NamedType, Type, TypeRef, WasmType};

const TYPENAMES: &str = include_str!("../../witx/typenames.witx");
const NETWORKING: &str = include_str!("../../witx/networking.witx");
/// The directive that joins the two files on disk; [`witx::parse`] takes one text without any.
const USE: &str = "(use \"typenames.witx\")";

/// The embedded witx, types first.
fn document() -> Document {
    let source = format!("{TYPENAMES}\n{}", NETWORKING.replace(USE, ""));
    witx::parse(&source)
        .unwrap_or_else(|error| panic!("the embedded witx does not parse: {}", error.report()))
}

/// The one module of the document.
fn module(document: &Document) -> Rc<Module> {
    document.modules().next().expect("the witx has a module")
}

/// What a type is made of, as far as this ABI goes.
enum Shape<'a> {
    /// Another name for a named type.
    Alias(&'a NamedType),
    /// A plain number.
    Number(BuiltinType),
    /// A descriptor.
    Handle,
    /// Names for the numbers from 0 on, in an integer of that size.
    Enum(&'a witx::Variant),
    /// Names for the bits from 0 on, in an integer of that size.
    Flags(&'a witx::RecordDatatype, witx::IntRepr),
}

impl Shape<'_> {
    /// The shape of a named type.
    ///
    /// Panics on a record, union, list or pointer that has a name: the ABI has none, and whoever adds the first
    /// one decides here how it is rendered.
    fn of(named: &NamedType) -> Shape<'_> {
        match &named.tref {
            TypeRef::Name(target) => Shape::Alias(target),
            TypeRef::Value(value) => match &**value {
                Type::Builtin(builtin) => Shape::Number(*builtin),
                Type::Handle(_) => Shape::Handle,
                Type::Variant(variant) if variant.is_enum() => Shape::Enum(variant),
                Type::Record(record) => match record.bitflags_repr() {
                    Some(repr) => Shape::Flags(record, repr),
                    None => panic!("type `{}`: records are not rendered", named.name.as_str()),
                },
                Type::Variant(_) | Type::List(_) | Type::Pointer(_) | Type::ConstPointer(_) => {
                    panic!("type `{}`: a named {} is not rendered", named.name.as_str(), value.kind())
                }
            },
        }
    }
}

/// What a call stores beyond its errno, if anything.
fn stored_result(func: &InterfaceFunc) -> Option<TypeRef> {
    let result = func.results.first()?;
    match &**result.tref.type_() {
        Type::Variant(variant) => variant.as_expected().and_then(|(ok, _)| ok.cloned()),
        Type::Record(_)
        | Type::Handle(_)
        | Type::List(_)
        | Type::Pointer(_)
        | Type::ConstPointer(_)
        | Type::Builtin(_) => None,
    }
}

fn is_string(tref: &TypeRef) -> bool {
    match &**tref.type_() {
        Type::List(element) => matches!(&**element.type_(), Type::Builtin(BuiltinType::Char)),
        _ => false,
    }
}

fn wasm_type(kind: WasmType) -> &'static str {
    match kind {
        WasmType::I32 => "i32",
        WasmType::I64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// The function's type in core WebAssembly, `(i32, i64) -> i32`.
fn core_signature(func: &InterfaceFunc) -> String {
    let (params, results) = func.wasm_signature();
    let list = |kinds: &[WasmType]| kinds.iter().map(|kind| wasm_type(*kind)).collect::<Vec<_>>().join(", ");
    format!("({}) -> {}", list(&params), list(&results))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_signatures() {
        let document = document();
        let lines: Vec<_> = module(&document)
            .funcs()
            .map(|func| format!("{} {}", func.name.as_str(), core_signature(&func)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        open (i32, i32, i32, i32, i64, i64, i32, i32) -> i32
        listen (i32, i32) -> i32
        accept (i32, i32) -> i32
        connect (i32, i32, i32, i32) -> i32
        stream_create (i32, i64, i64, i32, i32) -> i32
        stream_accept (i32, i32) -> i32
        local_address (i32, i32, i32, i32) -> i32
        peer_address (i32, i32, i32, i32) -> i32
        application_protocol (i32, i32, i32, i32) -> i32
        group_join (i32, i32, i32) -> i32
        group_leave (i32, i32, i32) -> i32
        option_get (i32, i32, i32) -> i32
        option_set (i32, i32, i64) -> i32
        ");
    }

    #[test]
    fn files_load_from_disk_as_they_do_from_memory() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/witx/networking.witx");
        let loaded = witx::load(&[path]).unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(loaded, document());
    }

    /// The sketch puts two rights in the midst of preview 1's; its bits are the ABI.
    #[test]
    fn rights_have_the_sketch_layout() {
        let document = document();
        let rights = document.typename(&"rights".into()).expect("rights");
        let Shape::Flags(flags, witx::IntRepr::U64) = Shape::of(&rights) else {
            panic!("rights are 64 flags")
        };
        let bit = |name: &str| flags.members.iter().position(|member| member.name == name);
        let asked =
            ["fd_read", "fd_write", "path_permissions_set", "fd_permissions_set", "poll_fd_readwrite"];
        assert_eq!(asked.map(bit), [1, 6, 21, 25, 29].map(Some));
        assert_eq!((bit("sock_shutdown"), flags.members.len()), (Some(30), 31));
    }

    /// Guests use the libc's numbers for these.
    #[test]
    fn errno_has_the_preview1_numbers() {
        let document = document();
        let errno = document.typename(&"errno".into()).expect("errno");
        let Shape::Enum(codes) = Shape::of(&errno) else { panic!("errno is an enum") };
        let number = |name: &str| codes.cases.iter().position(|case| case.name == name);
        let asked = ["acces", "again", "badf", "fault", "inval", "mfile", "notsock", "pipe", "notcapable"];
        assert_eq!(asked.map(number), [2, 6, 8, 21, 28, 33, 57, 64, 76].map(Some));
    }

    #[test]
    fn everything_is_documented() {
        let document = document();
        let mut bare = Vec::new();
        let mut check = |name: String, docs: &str| {
            if docs.trim().is_empty() {
                bare.push(name);
            }
        };
        for named in document.typenames() {
            check(named.name.as_str().to_owned(), &named.docs);
            let members: Vec<_> = match Shape::of(&named) {
                Shape::Enum(variant) => variant.cases.iter().map(|case| (&case.name, &case.docs)).collect(),
                Shape::Flags(flags, _) => flags.members.iter().map(|flag| (&flag.name, &flag.docs)).collect(),
                Shape::Alias(_) | Shape::Number(_) | Shape::Handle => Vec::new(),
            };
            for (member, docs) in members {
                check(format!("{}.{}", named.name.as_str(), member.as_str()), docs);
            }
        }
        for func in module(&document).funcs() {
            check(func.name.as_str().to_owned(), &func.docs);
            for param in &func.params {
                check(format!("{}({})", func.name.as_str(), param.name.as_str()), &param.docs);
            }
        }
        assert_eq!(bare, Vec::<String>::new());
    }
}
