use super::*;

fn window(limit: &str) -> Window {
    Window {
        limit: Some(limit.to_owned()),
        ..Window::default()
    }
}

#[test]
fn a_page_has_1_to_100_runs() {
    assert_eq!(Window::default().limit().unwrap(), 20);
    assert_eq!(window("1").limit().unwrap(), 1);
    assert_eq!(window("100").limit().unwrap(), 100);
    for wrong in [
        "0",
        "101",
        "-1",
        "+1",
        "01",
        "ten",
        "1.5",
        "",
        "99999999999999999999",
    ] {
        let error = window(wrong).limit().unwrap_err();
        assert_eq!(error.name(), "InputInvalid");
        assert!(error.to_string().starts_with("limit: "), "{error}");
    }
}

#[test]
fn an_empty_value_is_a_choice_of_a_forms_alone() {
    let empty = || Some(String::new());
    for (window, field) in [
        (
            Window {
                limit: empty(),
                ..Window::default()
            },
            "limit",
        ),
        (
            Window {
                before: empty(),
                ..Window::default()
            },
            "before",
        ),
        (
            Window {
                kind: empty(),
                ..Window::default()
            },
            "kind",
        ),
        (
            Window {
                status: empty(),
                ..Window::default()
            },
            "status",
        ),
        (
            Window {
                trigger: empty(),
                ..Window::default()
            },
            "trigger",
        ),
    ] {
        let read = window.limit().and_then(|_| window.filter().map(|_| ()));
        let error = read.unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
        let form = window.of_form();
        assert!(form.limit().is_ok() && form.filter().is_ok(), "{field}");
    }
}

#[test]
fn only_execution_names_are_looked_up() {
    assert!(is_run_id("sync-20261122T180000Z-3fa2c1"));
    for wrong in ["", "a b", "a\0", "ä", "../x", &"x".repeat(81)] {
        assert!(!is_run_id(wrong), "{wrong}");
    }
}
