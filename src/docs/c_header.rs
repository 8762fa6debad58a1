//! The header: `sdk/c/networking.h`.

use std::fmt::Write;

use witx::{BuiltinType, InterfaceFunc, NamedType, Type, TypeRef, WasmType};

use super::{Shape, document, is_string, module, stored_result};

const TOP: &str = "\
/*
 * The `networking` guest ABI for C and C++: see README.md beside this file and docs.md beside the witx.
 * Rendered from networking.witx by `guestnet docs --c-header`; edit that.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT
 */
#ifndef NETWORKING_H
#define NETWORKING_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern \"C\" {
#endif
";

/// What the witx does not say but a program needs first.
const BOTTOM: &str = "
/*
 * The descriptor that the host named so, from the list `name=fd,name=fd` in the environment variable
 * NETWORKING_FDS. A null name finds the last of the list, which is a protocol object wherever there is one,
 * since those come after controls and connections. -1 when there is none.
 */
static inline int networking_find(const char *name)
{
    const char *item = getenv(\"NETWORKING_FDS\");
    size_t wanted_len = name ? strlen(name) : 0;
    int found = -1;
    while (item && *item) {
        size_t item_len = strcspn(item, \",\");
        size_t name_len = strcspn(item, \"=,\");
        if (name_len < item_len && (!name || (name_len == wanted_len && !memcmp(item, name, name_len))))
            found = atoi(item + name_len + 1);
        item += item_len + (item[item_len] == ',');
    }
    return found;
}

#ifdef __cplusplus
}
#endif
#endif
";

/// Longer declarations get a line for each parameter.
const LINE_LEN_MAX: usize = 105;

/// The C header of the guest ABI: types, constants, the raw imports and a wrapper for each.
pub fn c_header() -> String {
    let document = document();
    let mut header = TOP.to_owned();
    for named in document.typenames() {
        type_declaration(&mut header, &named);
    }
    for func in module(&document).funcs() {
        import(&mut header, &func);
        wrapper(&mut header, &func);
    }
    header.push_str(BOTTOM);
    header
}

fn type_declaration(header: &mut String, named: &NamedType) {
    let name = named.name.as_str();
    header.push('\n');
    comment(header, &named.docs);
    let target = match Shape::of(named) {
        Shape::Alias(target) => format!("networking_{}_t", target.name.as_str()),
        Shape::Number(builtin) => number(builtin).to_owned(),
        Shape::Handle => "int".to_owned(),
        Shape::Enum(variant) => number(variant.tag_repr.to_builtin()).to_owned(),
        Shape::Flags(_, repr) => number(repr.to_builtin()).to_owned(),
    };
    let _ = writeln!(header, "typedef {target} networking_{name}_t;");
    match Shape::of(named) {
        Shape::Enum(variant) => {
            for (value, case) in variant.cases.iter().enumerate() {
                let constant = constant(name, case.name.as_str());
                comment(header, &case.docs);
                let _ = writeln!(header, "#define {constant} ((networking_{name}_t){value})");
            }
        }
        Shape::Flags(flags, _) => {
            for (bit, flag) in flags.members.iter().enumerate() {
                let constant = constant(name, flag.name.as_str());
                comment(header, &flag.docs);
                let _ = writeln!(header, "#define {constant} ((networking_{name}_t)1 << {bit})");
            }
        }
        Shape::Alias(_) | Shape::Number(_) | Shape::Handle => {}
    }
}

/// The import itself, for programs that need to pass what the wrapper would not.
fn import(header: &mut String, func: &InterfaceFunc) {
    let name = func.name.as_str();
    let (params, _) = func.wasm_signature();
    let params: Vec<_> = params.iter().map(|kind| core_type(*kind)).collect();
    let _ = write!(
        header,
        "\n__attribute__((import_module(\"networking\"), import_name(\"{name}\")))\n\
         int32_t networking_import_{name}({});\n",
        params.join(", ")
    );
}

fn wrapper(header: &mut String, func: &InterfaceFunc) {
    let name = func.name.as_str();
    let mut params = Vec::new();
    let mut arguments = Vec::new();
    for param in &func.params {
        let param_name = param.name.as_str();
        params.push(format!("{}{param_name}", parameter_type(&param.tref)));
        match &**param.tref.type_() {
            _ if is_string(&param.tref) => {
                arguments.push(format!("(int32_t)(intptr_t){param_name}"));
                arguments.push(format!("(int32_t)strlen({param_name})"));
            }
            Type::Pointer(_) | Type::ConstPointer(_) => {
                arguments.push(format!("(int32_t)(intptr_t){param_name}"));
            }
            _ => arguments.push(format!("({}){param_name}", core_type(core_kind(&param.tref)))),
        }
    }
    let mut docs = func.docs.trim_end().to_owned();
    for param in &func.params {
        let _ = write!(docs, "\n\n{}: {}", param.name.as_str(), param.docs.trim_end());
    }
    if let Some(stored) = stored_result(func) {
        params.push(format!("{}*result", parameter_type(&stored)));
        arguments.push("(int32_t)(intptr_t)result".to_owned());
        let result_docs = func.results.first().map(|result| result.docs.trim_end()).unwrap_or_default();
        let _ = write!(docs, "\n\nresult: {result_docs}");
    }
    comment(header, &docs);
    let call = format!("static inline networking_errno_t networking_{name}(");
    let mut list = params.join(", ");
    if call.len() + list.len() > LINE_LEN_MAX {
        list = format!("\n    {}", params.join(",\n    "));
    }
    let _ = writeln!(
        header,
        "{call}{list})\n{{\n    return (networking_errno_t)networking_import_{name}(\n        {});\n}}",
        arguments.join(", ")
    );
}

/// A parameter's C type with the space before its name. Bytes are `void *`, so that any buffer fits.
fn parameter_type(tref: &TypeRef) -> String {
    match tref {
        TypeRef::Name(named) => format!("networking_{}_t ", named.name.as_str()),
        TypeRef::Value(value) => match &**value {
            Type::Builtin(builtin) => format!("{} ", number(*builtin)),
            Type::Pointer(_) => "void *".to_owned(),
            Type::ConstPointer(_) => "const void *".to_owned(),
            Type::List(_) if is_string(tref) => "const char *".to_owned(),
            Type::List(_) | Type::Record(_) | Type::Variant(_) | Type::Handle(_) => {
                panic!("an unnamed {} as a parameter is not rendered", value.kind())
            }
        },
    }
}

fn core_kind(tref: &TypeRef) -> WasmType {
    match &**tref.type_() {
        Type::Builtin(BuiltinType::U64 | BuiltinType::S64) => WasmType::I64,
        Type::Record(record) => record.bitflags_repr().map_or(WasmType::I32, WasmType::from),
        _ => WasmType::I32,
    }
}

fn core_type(kind: WasmType) -> &'static str {
    match kind {
        WasmType::I32 => "int32_t",
        WasmType::I64 => "int64_t",
        WasmType::F32 => "float",
        WasmType::F64 => "double",
    }
}

fn number(builtin: BuiltinType) -> &'static str {
    match builtin {
        BuiltinType::Char => "uint32_t",
        BuiltinType::U8 { .. } => "uint8_t",
        BuiltinType::U16 => "uint16_t",
        BuiltinType::U32 { .. } => "uint32_t",
        BuiltinType::U64 => "uint64_t",
        BuiltinType::S8 => "int8_t",
        BuiltinType::S16 => "int16_t",
        BuiltinType::S32 => "int32_t",
        BuiltinType::S64 => "int64_t",
        BuiltinType::F32 => "float",
        BuiltinType::F64 => "double",
    }
}

fn constant(type_name: &str, member: &str) -> String {
    format!("NETWORKING_{}_{}", type_name.to_uppercase(), member.to_uppercase())
}

fn comment(header: &mut String, docs: &str) {
    let lines: Vec<_> = docs.trim_end().lines().map(str::trim_end).collect();
    match lines[..] {
        [] => {}
        [line] => {
            let _ = writeln!(header, "/* {line} */");
        }
        _ => {
            header.push_str("/*\n");
            for line in lines {
                let _ = writeln!(header, "{}", format!(" * {line}").trim_end());
            }
            header.push_str(" */\n");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn committed_header_is_fresh() {
        let committed = include_str!("../../sdk/c/networking.h");
        assert!(committed == super::c_header(), "sdk/c/networking.h is stale: run scripts/docs");
    }
}
