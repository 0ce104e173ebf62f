//! Every form of an address, and what an address may be mistaken for.

use super::*;

fn config(text: &str) -> Config {
    Address::read(text).unwrap().config().unwrap()
}

/// What is said of an address that is refused.
fn refusal(text: &str) -> String {
    let read = Address::read(text).and_then(|address| address.config());
    let error = read.err().unwrap();
    assert_eq!(error.name(), "ConfigInvalid");
    let text = error.to_string();
    assert!(text.starts_with("DATABASE_URL"), "{text}");
    assert!(!text.to_lowercase().contains("secret"), "{text}");
    text
}

#[test]
fn both_forms_say_the_same() {
    for text in [
        "postgresql://u:p%40s%27%20s@db.example:6432/shop?sslmode=require&options=-c%20a%3Db+c",
        r"host=db.example port=6432 user = u dbname=shop password='p@s\' s' sslmode=require options=-c\ a=b+c",
    ] {
        let mut address = Address::read(text).unwrap();
        assert_eq!(address.take("sslmode").as_deref(), Some("require"));
        let config = address.config().unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!(config.get_ports(), [6432]);
        assert_eq!(config.get_user(), Some("u"));
        assert_eq!(config.get_dbname(), Some("shop"));
        assert_eq!(config.get_password(), Some("p@s' s".as_bytes()));
        assert_eq!(config.get_options(), Some("-c a=b+c"));
    }
}

#[test]
fn a_url_that_makes_sense_in_one_way_only_is_read_so() {
    // user, password, host, database
    for (rest, user, password, host, database) in [
        ("h", "", "", "h", ""),
        ("h/d", "", "", "h", "d"),
        ("u@h/d", "u", "", "h", "d"),
        ("u:p@h", "u", "p", "h", ""),
        (":p@h/d", "", "p", "h", "d"),
        ("u:p@/d?host=h", "u", "p", "h", "d"),
        ("u:p@:5432/d?host=h", "u", "p", "h", "d"),
        ("h/a/b", "", "", "h", "a/b"),
        ("h/a%40b", "", "", "h", "a@b"),
        // An at sign in a parameter ends no credentials.
        ("u:p@h/d?application_name=a@b", "u", "p", "h", "d"),
        ("u:p@h?application_name=a@b@c", "u", "p", "h", ""),
        ("h/d?user=a@b&password=p", "a@b", "p", "h", "d"),
        ("h:5432/d?password=p&user=a@b", "a@b", "p", "h", "d"),
        ("u:pa/ss@h/d?application_name=a@b", "u", "pa/ss", "h", "d"),
        // Passwords with what ends them elsewhere.
        ("u:pa/ss@h/d", "u", "pa/ss", "h", "d"),
        ("u:99999/ss@h/d", "u", "99999/ss", "h", "d"),
        ("u:a?b@h/d", "u", "a?b", "h", "d"),
        ("u:5?b@h/d", "u", "5?b", "h", "d"),
        ("u:a?b=c@h/d?options=x", "u", "a?b=c", "h", "d"),
        ("u:#b@h/d", "u", "#b", "h", "d"),
        ("u:a@b@h/d", "u", "a@b", "h", "d"),
        ("u:a:b@h/d", "u", "a:b", "h", "d"),
        ("u:a&b=c@h/d", "u", "a&b=c", "h", "d"),
        ("u:100%@h/d", "u", "100%", "h", "d"),
        ("u:a+b%2B@h/d", "u", "a+b+", "h", "d"),
        ("me@corp.example:p@h/d", "me@corp.example", "p", "h", "d"),
    ] {
        for scheme in ["postgres", "postgresql"] {
            let config = config(&format!("{scheme}://{rest}"));
            assert_eq!(config.get_user().unwrap_or_default(), user, "{rest}");
            let found = config.get_password().unwrap_or_default();
            assert_eq!(found, password.as_bytes(), "{rest}");
            assert_eq!(config.get_hosts(), [Host::Tcp(host.to_owned())], "{rest}");
            assert_eq!(config.get_dbname().unwrap_or_default(), database, "{rest}");
        }
    }
}

#[test]
fn a_url_that_may_mean_two_things_is_refused() {
    for rest in [
        // A password, or a port and a database.
        "u:/sEcret@h/d",
        "u:12/sEcret@h",
        "u:12/a@sEcret@h",
        "u:a@b/sEcret@h/d",
        "u:a@sEcret:1/b@h/d",
        // A user, or a host and a database.
        "h/sEcret@b",
        "h/d@sEcret?user=u",
        "u/x:sEcret@h/d",
        // A password, or a parameter that nobody knows.
        "u:5?a=sEcret@h/d",
        "h:5432/d?foo=sEcret@b",
        // No host, no port, no text.
        "u:p@h sEcret/d",
        "u:p@[::1]sEcret/d",
        "u:p@h,/sEcret",
        "u:p@h/d?sEcret",
        "u:%FFsEcret@h/d",
        "u:%00sEcret@h/d",
    ] {
        for scheme in ["postgres", "postgresql"] {
            let refusal = refusal(&format!("{scheme}://{rest}"));
            assert!(refusal.contains("cannot be read"), "{rest}: {refusal}");
        }
    }
}

#[test]
fn a_parameter_after_a_password_keeps_its_meaning() {
    let text = "postgres://u:p@h/d?sslmode=require&application_name=a@b&sslrootcert=/x@y.pem";
    let mut address = Address::read(text).unwrap();
    assert_eq!(address.take("sslmode").as_deref(), Some("require"));
    assert_eq!(address.take("sslrootcert").as_deref(), Some("/x@y.pem"));
    let config = address.config().unwrap();
    assert_eq!(config.get_application_name(), Some("a@b"));
}

#[test]
fn the_last_of_a_parameter_holds() {
    for text in [
        "host=a host=h port=1 port=2 user=v user=u password=q password=p dbname=e dbname=d",
        "postgres://v:q@a:1/e?host=h&port=2&user=u&password=p&dbname=d",
        "postgres://v:q@a:1/e?host=x&port=9&host=h&port=2&user=u&password=p&dbname=d",
        "postgres://u:p@h/d?port=1&port=2",
    ] {
        let config = config(text);
        assert_eq!(config.get_hosts(), [Host::Tcp("h".to_owned())], "{text}");
        assert_eq!(config.get_ports(), [2], "{text}");
        assert_eq!(config.get_user(), Some("u"), "{text}");
        assert_eq!(config.get_password(), Some("p".as_bytes()), "{text}");
        assert_eq!(config.get_dbname(), Some("d"), "{text}");
    }
    let mut address = Address::read("host=h sslmode=disable sslmode=require").unwrap();
    assert_eq!(address.take("sslmode").as_deref(), Some("require"));
    assert_eq!(address.take("sslmode"), None);
}

#[test]
fn hosts_and_ports_belong_together() {
    let several = config("postgres://u@a:1,b,[::1]:3/d");
    assert_eq!(several.get_ports(), [1, 5432, 3]);
    let names = ["a", "b", "::1"].map(|name| Host::Tcp(name.to_owned()));
    assert_eq!(several.get_hosts(), names);
    let one_for_all = config("host=a,b port=2");
    assert_eq!(one_for_all.get_ports(), [2]);
    for text in [
        "postgres://u@a:1,b:2/d?host=h",
        "host=a,b,c port=1,2",
        "host=a,b hostaddr=10.0.0.1",
    ] {
        assert!(refusal(text).contains("for each host"), "{text}");
    }
    for text in [
        "host=a,,b",
        "user=u password=secret",
        "postgres://u:secret@/d",
    ] {
        assert!(refusal(text).contains("names no host"), "{text}");
    }
}

#[test]
fn what_is_unknown_or_wrong_is_named_and_nothing_else() {
    for (text, says) in [
        (
            "postgresql://u:secret@h/d?pgbouncer=true",
            "parameter pgbouncer,",
        ),
        (
            "postgresql://u:secret@h/d?schema=public",
            "parameter schema,",
        ),
        ("postgresql://u:secret@h/d?ssl=false", "parameter ssl,"),
        (
            "postgresql://u:p@h/d?secret=1",
            "parameter of another name,",
        ),
        (
            "postgresql://u:p@h/d?my%20Secret=1",
            "parameter of another name,",
        ),
        ("host=h password=secret sslcert=x", "parameter sslcert,"),
        ("host=h password=my secret=1", "parameter of another name,"),
        ("host=h password=my se_cret=1", "parameter of another name,"),
        ("postgresql://u:secret@h:many/d", "`port`"),
        ("postgresql://u:secret@h:0/d", "`port`"),
        ("postgresql://u:secret", "`port`"),
        ("host=h password=secret port=many", "`port`"),
        (
            "postgresql://u:se?secret=1@h/d?pgbouncer=true",
            "parameter pgbouncer,",
        ),
        ("host=h password='secret", "cannot be read"),
        ("mysql:secret@host", "cannot be read"),
        ("POSTGRES://u:secret@h/d?a=b", "parameter of another name,"),
    ] {
        let refusal = refusal(text);
        assert!(refusal.contains(says), "{text}: {refusal}");
        assert!(!refusal.contains("se_cret"), "{refusal}");
    }
}

#[test]
fn only_this_machine_is_local() {
    for text in [
        "postgres://u@localhost/d",
        "postgres://u@127.0.0.1:1/d",
        "postgres://u@[::1]/d",
        "postgres://u@%2Fvar%2Frun/d",
        "postgres:///d?host=/var/run",
        "host=/var/run user=u",
        "host=db.example hostaddr=127.0.0.1",
    ] {
        assert!(is_local(&config(text)), "{text}");
    }
    for text in [
        "postgres://u@db.example/d",
        "postgres://u@localhost.example/d",
        "postgres://u@app.localhost/d",
        "postgres://u@localhost,db.example/d",
        "postgres://u@localhost/d?host=db.example",
        "host=localhost hostaddr=10.0.0.1",
    ] {
        assert!(!is_local(&config(text)), "{text}");
    }
}
