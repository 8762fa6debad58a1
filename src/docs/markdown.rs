//! The page: `witx/docs.md`.

use std::fmt::Write;

use witx::{BuiltinType, InterfaceFunc, NamedType, Type, TypeRef};

use super::{Shape, core_signature, document, module, stored_result};

/// Above the parts that come from the witx: what its comments have no place for.
const INTRODUCTION: &str = "\
# The `networking` guest ABI

Rendered from `networking.witx` and `typenames.witx` by `guestnet docs`; edit those.

A guest imports these functions from the module `networking`, beside `wasi_snapshot_preview1`. Both use one
descriptor table: reading, writing, closing, polling, `sock_recv`, `sock_send`, `sock_shutdown` and `sock_accept`
are preview 1's, on the descriptors made here. A function's core type is given under its name. A string is two
parameters, pointer and length, of UTF-8 without a terminating zero; a result beyond the errno is stored through
a last pointer parameter, aligned to its size, and only when the errno is `success`.

Descriptors from 3 on are preopened: controls and connections that the host made, then directories, then
protocol objects. The environment variable `NETWORKING_FDS` lists those that are no directories as `name=fd`,
joined by commas; `fd_prestat_get` and `fd_prestat_dir_name` tell the same.
";

/// The reference page of the guest ABI, in Markdown.
pub fn abi_markdown() -> String {
    let document = document();
    let module = module(&document);
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## Functions\n");
    for func in module.funcs() {
        function(&mut page, &func);
    }
    page.push_str("\n## Types\n");
    for named in document.typenames() {
        type_section(&mut page, &named);
    }
    page
}

fn function(page: &mut String, func: &InterfaceFunc) {
    let _ = write!(
        page,
        "\n### `{}`\n\n`{}`\n\n{}\n\n",
        func.name.as_str(),
        core_signature(func),
        func.docs.trim_end()
    );
    page.push_str("| parameter | type | |\n| --- | --- | --- |\n");
    for param in &func.params {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            param.name.as_str(),
            link(&param.tref),
            one_line(&param.docs)
        );
    }
    if let Some(stored) = stored_result(func) {
        let docs = func.results.first().map(|result| one_line(&result.docs)).unwrap_or_default();
        let _ = writeln!(page, "| *result* | {} | {docs} |", link(&stored));
    }
}

fn type_section(page: &mut String, named: &NamedType) {
    let _ = write!(page, "\n### `{}`\n\n", named.name.as_str());
    let layout = match Shape::of(named) {
        Shape::Alias(target) => format!("Is `{}`.", target.name.as_str()),
        Shape::Number(builtin) => format!("A number, `{}`.", number(builtin)),
        Shape::Handle => "A descriptor, `u32`.".to_owned(),
        Shape::Enum(variant) => format!("One of these numbers, `{}`.", number(variant.tag_repr.to_builtin())),
        Shape::Flags(_, repr) => format!("Any of these bits, `{}`.", number(repr.to_builtin())),
    };
    let _ = writeln!(page, "{layout} {}", named.docs.trim_end());
    match Shape::of(named) {
        Shape::Enum(variant) => {
            page.push_str("\n| number | name | |\n| --- | --- | --- |\n");
            for (value, case) in variant.cases.iter().enumerate() {
                let _ = writeln!(page, "| {value} | `{}` | {} |", case.name.as_str(), one_line(&case.docs));
            }
        }
        Shape::Flags(flags, _) => {
            page.push_str("\n| bit | name | |\n| --- | --- | --- |\n");
            for (bit, flag) in flags.members.iter().enumerate() {
                let _ = writeln!(page, "| {bit} | `{}` | {} |", flag.name.as_str(), one_line(&flag.docs));
            }
        }
        Shape::Alias(_) | Shape::Number(_) | Shape::Handle => {}
    }
}

/// A type as a table cell shows it: a link to its section when it has a name.
fn link(tref: &TypeRef) -> String {
    match tref {
        TypeRef::Name(named) => format!("[`{0}`](#{0})", named.name.as_str()),
        TypeRef::Value(value) => match &**value {
            Type::Builtin(builtin) => format!("`{}`", number(*builtin)),
            Type::Pointer(target) => format!("pointer to {}", link(target)),
            Type::ConstPointer(target) => format!("pointer to constant {}", link(target)),
            Type::List(element) if matches!(&**element.type_(), Type::Builtin(BuiltinType::Char)) => {
                "string".into()
            }
            Type::List(element) => format!("list of {}", link(element)),
            Type::Record(_) | Type::Variant(_) | Type::Handle(_) => value.kind().to_owned(),
        },
    }
}

fn number(builtin: BuiltinType) -> &'static str {
    match builtin {
        BuiltinType::Char => "char",
        BuiltinType::U8 { .. } => "u8",
        BuiltinType::U16 => "u16",
        BuiltinType::U32 { .. } => "u32",
        BuiltinType::U64 => "u64",
        BuiltinType::S8 => "s8",
        BuiltinType::S16 => "s16",
        BuiltinType::S32 => "s32",
        BuiltinType::S64 => "s64",
        BuiltinType::F32 => "f32",
        BuiltinType::F64 => "f64",
    }
}

/// Documentation that fits a table cell.
fn one_line(docs: &str) -> String {
    docs.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_page_is_fresh() {
        let committed = include_str!("../../witx/docs.md");
        assert!(committed == super::abi_markdown(), "witx/docs.md is stale: run scripts/docs");
    }
}
