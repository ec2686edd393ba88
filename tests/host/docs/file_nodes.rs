//! QEMU (7.2) forgets a flush on a block node `driver=file` that has no `driver=raw` above it. Nothing that people are told to type
//! has such a node.

use std::path::Path;

use super::examples::pages;
use crate::harness::*;

/// The block nodes of `text` that are files, without a raw node above.
fn bare_file_nodes(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "`'\"".contains(c));
    words.filter(|word| is_bare(word, text)).collect()
}

fn is_bare(word: &str, text: &str) -> bool {
    let options: Vec<_> = word.split(',').collect();
    let drivers = options.iter().filter_map(|option| {
        let (path, driver) = option.rsplit_once("driver=")?;
        // A shell variable may stand before: `log=driver=raw`.
        let path = path.rsplit('=').next()?;
        Some((path.trim_end_matches('.'), driver))
    });
    let drivers: Vec<(&str, &str)> = drivers.collect();
    let is_raw = |path: &str| drivers.contains(&(path, "raw"));
    let mut options = options.iter();
    let name = options.find_map(|option| option.strip_prefix("node-name="));
    let mut files = drivers.iter().filter(|(_, driver)| *driver == "file");
    files.any(|(path, _)| {
        let above = path.match_indices('.').map(|(at, _)| &path[..at]);
        let mut above = above.chain((!path.is_empty()).then_some(""));
        let has_raw = match path.is_empty() {
            true => name.is_some_and(|name| has_raw_above(text, name)),
            false => above.any(is_raw),
        };
        !has_raw
    })
}

/// Whether a raw node of `text` has the node called `name` as its file.
fn has_raw_above(text: &str, name: &str) -> bool {
    let file = format!("file={name}");
    text.split_whitespace().any(|word| {
        let mut options = word.split(',');
        word.contains("driver=raw") && options.any(|option| option == file)
    })
}

#[test]
fn bare_file_node_is_found() {
    for bare in [
        "-blockdev driver=file,node-name=a,filename=x",
        "--image-opts driver=file,filename=x",
        "driver=blklogwrites,file.driver=file,log.driver=raw,log.file.driver=file",
        "drive=driver=file,filename=x",
    ] {
        assert_eq!(bare_file_nodes(bare).len(), 1, "{bare}");
    }
    for good in [
        "driver=raw,file.driver=file,file.filename=x",
        "driver=blklogwrites,file.driver=raw,file.file.driver=file",
        "driver=raw,file.driver=blkdebug,file.image.driver=file",
        "log=$log,log.driver=raw,log.file.driver=file",
        "-blockdev driver=file,node-name=a -blockdev driver=raw,node-name=b,file=a",
        "`driver=raw` above each file",
    ] {
        assert_eq!(bare_file_nodes(good), Vec::<&str>::new(), "{good}");
    }
}

#[test]
fn pages_helps_and_helpers_have_raw_above_each_file_node() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["examples", "mnt-helpers", "mnt-helpers/dev", "lua/meta"];
    let entries = folders.map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let files = entries
        .into_iter()
        .flatten()
        .map(|file| file.unwrap().path());
    let files = files.chain(pages()).filter(|path| path.is_file());
    let texts = files.map(|path| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        (path.display().to_string(), text)
    });
    let folder = TempDir::new().unwrap();
    assert_ok(&provium(&["man", &folder.path().display().to_string()]));
    let manual = folder.path().read_dir().unwrap().map(|page| {
        let page = page.unwrap().path();
        // Roff writes a hyphen as `\-`.
        let text = std::fs::read_to_string(&page).unwrap().replace('\\', "");
        (page.display().to_string(), text)
    });
    let mut seen = 0;
    for (path, text) in texts.chain(manual) {
        assert_eq!(bare_file_nodes(&text), Vec::<&str>::new(), "{path}");
        seen += text.matches("driver=file").count();
    }
    assert!(seen >= 5, "{seen}");
}
