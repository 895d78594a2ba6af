//! The macro as a pure function. The UI tests of the facade check what the compiler makes of the
//! expansion.

mod arguments;
mod expansion;
mod reborrow;
mod refusals;
mod speed;
mod test_attr;
mod text;

use proc_macro2::TokenStream;

use crate::annotate;

/// Messages of one annotation, in order.
fn messages(attr: &str, item: &str) -> Vec<String> {
    annotate(tokens(attr), tokens(item)).1.messages()
}

/// The expansion of a faultless annotation, formatted.
fn expanded(attr: &str, item: &str) -> String {
    let (tokens, errors) = annotate(tokens(attr), tokens(item));
    assert_eq!(errors.messages(), Vec::<String>::new());
    pretty(tokens)
}

fn pretty(tokens: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(tokens).expect("the expansion parses"))
}

fn tokens(source: &str) -> TokenStream {
    source.parse().expect("the test's source is tokens")
}
