//! The source files as the compiler sees them: what each defines, imports and names, and how long its functions
//! are. Code for tests alone is left out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// One name that a file uses: a path as it is written, or all of an import.
pub struct Use {
    pub path: Vec<String>,
    pub line: usize,
    /// A `pub use`: a facade, which needs nothing of what it shows.
    pub is_facade: bool,
}

/// A function with a body.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// One file of src/.
#[derive(Default)]
pub struct Source {
    /// From the folder of the project on.
    pub file: String,
    pub text: String,
    pub uses: Vec<Use>,
    pub functions: Vec<Function>,
    /// Where `unsafe` stands.
    pub unsafe_lines: Vec<usize>,
    /// Where a `match` has an arm for all other variants, with the enums that its arms name.
    pub wildcards: Vec<(usize, Vec<String>)>,
    /// The type of the `impl` that is visited.
    self_type: String,
    module: Vec<String>,
    defines: HashSet<String>,
    /// The names that imports bind, with their paths.
    imports: HashMap<String, Vec<String>>,
}

/// What a path leads to.
pub enum Place {
    /// Something of ours, from the root of the crate on.
    Ours(Vec<String>),
    /// Something of another crate, whose name comes first; or a name that is bound locally.
    Other(Vec<String>),
}

/// All files of src/, by their modules.
pub struct Sources(BTreeMap<Vec<String>, Source>);

impl Sources {
    /// Parses all of src/ in the project's `folder`.
    pub fn read(folder: &Path) -> Self {
        let mut files = Vec::new();
        find(&folder.join("src"), &mut files);
        let mut sources: BTreeMap<_, _> = BTreeMap::new();
        let mut for_tests = Vec::new();
        for path in files {
            let file = path.strip_prefix(folder).unwrap().display().to_string();
            let module = module_of(&file);
            let source = read(file, module.clone(), &path, &mut for_tests);
            sources.insert(module, source);
        }
        let is_for_tests =
            |module: &[String]| for_tests.iter().any(|test| module.starts_with(test));
        sources.retain(|module, _| !is_for_tests(module));
        Self(sources)
    }

    pub fn all(&self) -> impl Iterator<Item = &Source> {
        self.0.values()
    }

    /// What `path` leads to, as it is written in `source`.
    pub fn place(&self, source: &Source, path: &[String]) -> Place {
        let module = &source.module;
        let (first, rest) = path.split_first().unwrap();
        let ours = |module: &[String], rest: &[String]| Place::Ours([module, rest].concat());
        let inner = [module, &path[..1]].concat();
        match first.as_str() {
            "crate" => ours(&[], rest),
            "self" => ours(module, rest),
            "super" => {
                let ups = path.iter().take_while(|word| *word == "super").count();
                ours(&module[..module.len() - ups], &path[ups..])
            }
            _ if source
                .imports
                .get(first)
                .is_some_and(|import| import != path) =>
            {
                let import = &source.imports[first];
                match (import[0] == *first, self.is_module(&inner)) {
                    // A function and the module that it is in have one name.
                    (true, true) if rest.is_empty() => ours(module, import),
                    (true, true) => ours(module, path),
                    (true, false) => Place::Other(path.to_owned()),
                    (false, _) => self.place(source, &[import, rest].concat()),
                }
            }
            _ if self.is_module(&inner) => ours(module, path),
            _ if source.defines.contains(first) => ours(module, path),
            _ => Place::Other(path.to_owned()),
        }
    }

    /// The file that defines what a path from the root leads to; None for a module, and for what a macro makes.
    pub fn definition(&self, path: &[String]) -> Option<&Source> {
        let mut module = Vec::new();
        for (at, name) in path.iter().enumerate() {
            let source = self.0.get(&module)?;
            let inner = [&module[..], std::slice::from_ref(name)].concat();
            let is_last = at + 1 == path.len();
            if self.is_module(&inner) && !(is_last && source.imports.contains_key(name)) {
                module = inner;
            } else if source.defines.contains(name) {
                return Some(source);
            } else {
                let import = source.imports.get(name)?;
                let Place::Ours(place) = self.place(source, import) else {
                    return None;
                };
                return self.definition(&[&place, &path[at + 1..]].concat());
            }
        }
        None
    }

    /// Whether there is a file for this module.
    pub fn is_module(&self, module: &[String]) -> bool {
        self.0.contains_key(module)
    }
}

pub fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
}

/// `src/disk/mod.rs` is the module `disk`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let words = path
        .split('/')
        .filter(|word| !["mod", "lib"].contains(word));
    words.map(str::to_owned).collect()
}

fn read(
    file: String,
    module: Vec<String>,
    path: &Path,
    for_tests: &mut Vec<Vec<String>>,
) -> Source {
    let text = std::fs::read_to_string(path).unwrap();
    let syntax = syn::parse_file(&text).unwrap();
    let mut source = Source {
        file,
        text,
        module,
        ..Source::default()
    };
    for item in &syntax.items {
        if let Item::Mod(inner) = item
            && is_for_tests(&inner.attrs)
        {
            for_tests.push([&source.module[..], &[inner.ident.to_string()]].concat());
        }
        source.defines.extend(defined(item));
        if let Item::Macro(call) = item {
            source.defines.extend(defined_inside(&call.mac.tokens));
        }
    }
    source.visit_file(&syntax);
    source
}

/// The name of what an item defines, if it is neither a module nor an import.
fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// The names of the types that a macro is called with, as in `listed! { pub enum Op { ... } }`.
fn defined_inside(tokens: &TokenStream) -> Vec<String> {
    let words: Vec<_> = tokens
        .clone()
        .into_iter()
        .map(|token| token.to_string())
        .collect();
    let pairs = words.windows(2);
    let types = pairs.filter(|pair| ["enum", "struct"].contains(&pair[0].as_str()));
    types.map(|pair| pair[1].clone()).collect()
}

/// `#[cfg(test)]`, and the same with the feature `testing`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg") && condition.contains("test") && !condition.contains("not")
    })
}

/// Visits what is not for tests alone.
macro_rules! visit_unless_for_tests {
    ($($visit:ident: $node:ident,)*) => { $(
        fn $visit(&mut self, node: &'ast syn::$node) {
            if !is_for_tests(&node.attrs) {
                visit::$visit(self, node);
            }
        }
    )* };
}

impl<'ast> Visit<'ast> for Source {
    visit_unless_for_tests! {
        visit_item_const: ItemConst,
        visit_item_enum: ItemEnum,
        visit_item_mod: ItemMod,
        visit_item_static: ItemStatic,
        visit_item_struct: ItemStruct,
        visit_item_trait: ItemTrait,
        visit_item_type: ItemType,
    }

    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        if !is_for_tests(&node.attrs) {
            let own = match &*node.self_ty {
                syn::Type::Path(own) => last_word(&own.path),
                _ => String::new(),
            };
            let outer = std::mem::replace(&mut self.self_type, own);
            visit::visit_item_impl(self, node);
            self.self_type = outer;
        }
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        let is_rest = |arm: &&syn::Arm| match &arm.pat {
            syn::Pat::Wild(_) => true,
            syn::Pat::Ident(name) => name.subpat.is_none() && is_lower(&name.ident.to_string()),
            _ => false,
        };
        if let Some(rest) = node.arms.iter().find(is_rest) {
            let mut named = Enums(Vec::new());
            node.arms.iter().for_each(|arm| named.visit_pat(&arm.pat));
            let own = &self.self_type;
            let names = named.0.into_iter();
            let names = names.map(|name| if name == "Self" { own.clone() } else { name });
            let line = rest.fat_arrow_token.spans[0].start().line;
            self.wildcards.push((line, names.collect()));
        }
        visit::visit_expr_match(self, node);
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        if !is_for_tests(&node.attrs) {
            self.function(&node.sig, &node.block);
            visit::visit_item_fn(self, node);
        }
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        if !is_for_tests(&node.attrs) {
            self.function(&node.sig, &node.block);
            visit::visit_impl_item_fn(self, node);
        }
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            self.function(&node.sig, block);
        }
        visit::visit_trait_item_fn(self, node);
    }

    fn visit_expr_unsafe(&mut self, node: &'ast syn::ExprUnsafe) {
        self.unsafe_lines.push(node.unsafe_token.span.start().line);
        visit::visit_expr_unsafe(self, node);
    }

    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        if !is_for_tests(&node.attrs) {
            let before = self.uses.len();
            self.import(&node.tree, &[]);
            let is_facade = !matches!(node.vis, syn::Visibility::Inherited);
            self.uses[before..]
                .iter_mut()
                .for_each(|one| one.is_facade = is_facade);
        }
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        let words = node.segments.iter().map(|word| word.ident.to_string());
        let line = node.segments[0].ident.span().start().line;
        self.name(words.collect(), line);
        visit::visit_path(self, node);
    }

    /// The inside of macros and attributes, which is not parsed.
    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.tokens(tokens.clone());
    }
}

impl Source {
    fn name(&mut self, path: Vec<String>, line: usize) {
        self.uses.push(Use {
            path,
            line,
            is_facade: false,
        });
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: block.brace_token.span.close().end().line + 1 - line,
        });
    }

    fn import(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        let (path, bound, line) = match tree {
            UseTree::Path(path) => return self.import(&path.tree, &with(&path.ident)),
            UseTree::Group(group) => {
                return group
                    .items
                    .iter()
                    .for_each(|tree| self.import(tree, before));
            }
            UseTree::Name(name) if name.ident == "self" => {
                (before.to_owned(), before.last().cloned(), &name.ident)
            }
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string()), &name.ident),
            UseTree::Rename(new) => (with(&new.ident), Some(new.rename.to_string()), &new.ident),
            UseTree::Glob(glob) => {
                let line = glob.star_token.span.start().line;
                return self.name(before.to_owned(), line);
            }
        };
        let line = line.span().start().line;
        if let Some(bound) = bound {
            self.imports.insert(bound, path.clone());
        }
        self.name(path, line);
    }

    /// Names each path of two words and more.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut line, mut colons) = (Vec::new(), 0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 && !path.is_empty() => {
                    path.push(word.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                other => {
                    self.path_of_tokens(std::mem::take(&mut path), line);
                    colons = 0;
                    if let TokenTree::Ident(word) = &other {
                        line = word.span().start().line;
                        path.push(word.to_string());
                    } else if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.path_of_tokens(path, line);
    }

    fn path_of_tokens(&mut self, path: Vec<String>, line: usize) {
        if path.len() > 1 {
            self.name(path, line);
        }
    }
}

/// The enums whose variants a pattern names.
struct Enums(Vec<String>);

impl<'ast> Visit<'ast> for Enums {
    /// Leaves guards out.
    fn visit_expr(&mut self, _: &'ast syn::Expr) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words = path.segments.iter().rev();
        self.0
            .extend(words.skip(1).take(1).map(|word| word.ident.to_string()));
    }
}

fn last_word(path: &syn::Path) -> String {
    let last = path.segments.last();
    last.map(|word| word.ident.to_string()).unwrap_or_default()
}

fn is_lower(name: &str) -> bool {
    name.starts_with(|c: char| c.is_lowercase() || c == '_')
}
