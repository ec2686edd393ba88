//! `json.decode` in Lua: what it understands, `json.encode` can say again, and the same a second time.

use provium::config::Config;
use provium::script::{Evaluated, Session};

thread_local! {
    static SESSION: Session = Session::open(Config::default()).unwrap();
}

const THERE_AND_BACK: &str = r#"
    local text = ...
    local is_json, value = pcall(json.decode, text)
    if not is_json then
      assert(value:find("json.decode: ", 1, true) and not value:find("\n"), value)
      return "refused"
    end
    local again = json.encode(value)
    assert(json.encode(json.decode(again)) == again, again)
    return "taken"
"#;

pub fn run(data: &[u8]) {
    let text: String = data.iter().map(|byte| format!("\\{byte:03}")).collect();
    let lua = format!("(function(...) {THERE_AND_BACK} end)(\"{text}\")");
    let outcome = SESSION.with(|session| session.evaluate(&lua));
    let as_expected = ["refused", "taken"].map(|word| Evaluated::Value(word.to_owned()));
    assert!(as_expected.contains(&outcome), "{outcome:?}");
}
