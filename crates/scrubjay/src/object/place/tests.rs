//! URLs, options and what is shown of them.

use super::*;
use crate::error::ErrorKind;

fn error(object: &Object) -> String {
    let error = object.make().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn a_url_that_cannot_be_used_says_what_of_it() {
    let cases = [
        ("bucket/prefix", "the URL has no scheme"),
        ("ftp://bucket/prefix", "has the scheme \"ftp\""),
        ("s3:///prefix", "names no bucket"),
        ("s3://bucket/prefix?region=eu", "has a query"),
        ("s3://id:secret@bucket/prefix", "has a user or a port"),
        ("file://host/folder", "names the host \"host\""),
        ("file:///", "names no folder"),
        ("s3://bucket/a//b", "empty"),
    ];
    for (url, expected) in cases {
        let said = error(&Object::url(url));
        assert!(said.starts_with("object: ") && said.contains(expected), "{url}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn an_option_that_means_nothing_there_is_named() {
    assert!(
        error(&Object::url("s3://jays").option("perch", "high")).contains("option \"perch\" means nothing to s3://")
    );
    assert!(error(&Object::url("gs://jays").option("perch", "high")).contains("means nothing to gs://"));
    assert!(error(&Object::url("az://jays").option("perch", "high")).contains("means nothing to az://"));
    assert!(error(&Object::url("file:///tmp").region("eu")).contains("means nothing to a folder"));
    assert!(error(&Object::url("gs://jays").credentials("id", "secret")).contains("service_account_path"));
}

#[test]
fn every_cloud_makes_a_client_without_asking_anybody() {
    let s3 = Object::url("s3://jays/nest").region("eu-central-1").credentials("id", "secret");
    assert_eq!(s3.make().unwrap().prefix, Path::from("nest"));
    let azure = Object::url("az://jays").credentials("account", "c2VjcmV0");
    assert_eq!(azure.make().unwrap().prefix, Path::from(""));
    let key = r#"{"gcs_base_url": "http://localhost", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
    let gcs = Object::url("gs://jays/a/b").option("service_account_key", key);
    assert_eq!(gcs.make().unwrap().prefix, Path::from("a/b"));
}

#[test]
fn secrets_are_not_shown() {
    let object = Object::url("s3://user:hidden@jays/nest?token=hidden").credentials("id", "hidden");
    let shown = format!("{:?}", object.option("aws_session_token", "hidden"));
    assert!(!shown.contains("hidden") && shown.contains("s3://jays/nest"), "{shown}");
}
