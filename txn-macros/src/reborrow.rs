//! The implicit reborrow of the session, which the compiler itself does only for arguments that are
//! not generic.

pub(crate) mod by_tokens;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprCall, ExprMethodCall, Item, Pat, PatIdent, Stmt, Token};

/// Statements of a body, if it is one that parses.
pub(crate) fn parse_body(tokens: TokenStream) -> Option<Vec<Stmt>> {
    Block::parse_within.parse2(tokens).ok()
}

/// A body that is ready to be emitted.
pub(crate) struct Body {
    pub(crate) tokens: TokenStream,
    pub(crate) is_lone_expression: bool,
}

/// Input:  `debit(tx, 1).await?; query.execute(tx).await`
/// Output: `debit(&mut *tx, 1).await?; query.execute(&mut *tx).await`
///
/// Never in macros: two operations on one session in `try_join!` must go on failing to compile. Not
/// at all in a body that binds the name again, where it may be something else.
pub(crate) fn reborrow(tokens: TokenStream, session: Option<&Ident>) -> Body {
    match by_tokens::reborrow(&tokens, session) {
        None => parsed(tokens, session),
        Some(tokens) => Body {
            tokens,
            is_lone_expression: false,
        },
    }
}

/// The same where it takes a parser.
pub(crate) fn parsed(tokens: TokenStream, session: Option<&Ident>) -> Body {
    let stmts = parse_body(tokens.clone()).unwrap_or_default();
    let is_lone_expression = matches!(*stmts, [Stmt::Expr(_, None)]);
    let reborrowed = session.and_then(|session| with_reborrows(stmts, session));
    Body {
        tokens: reborrowed.unwrap_or(tokens),
        is_lone_expression,
    }
}

/// `None` where there is nothing to do.
fn with_reborrows(mut stmts: Vec<Stmt>, session: &Ident) -> Option<TokenStream> {
    if binds(&stmts, session) {
        return None;
    }
    let mut reborrow = Reborrow {
        session,
        done: false,
    };
    stmts
        .iter_mut()
        .for_each(|stmt| reborrow.visit_stmt_mut(stmt));
    reborrow.done.then(|| quote!(#(#stmts)*))
}

fn binds(stmts: &[Stmt], name: &Ident) -> bool {
    let mut bindings = Bindings { name, found: false };
    stmts.iter().for_each(|stmt| bindings.visit_stmt(stmt));
    bindings.found
}

struct Bindings<'a> {
    name: &'a Ident,
    found: bool,
}

impl<'ast> Visit<'ast> for Bindings<'_> {
    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.found |= pat.ident == *self.name;
        syn::visit::visit_pat_ident(self, pat);
    }

    /// An item has names of its own inside; only its own name is one of the body's.
    fn visit_item(&mut self, item: &'ast Item) {
        self.found |= match item {
            Item::Fn(item) => item.sig.ident == *self.name,
            Item::Const(item) => item.ident == *self.name,
            Item::Static(item) => item.ident == *self.name,
            _ => false,
        };
    }
}

struct Reborrow<'a> {
    session: &'a Ident,
    done: bool,
}

impl Reborrow<'_> {
    fn arguments(&mut self, arguments: &mut Punctuated<Expr, Token![,]>) {
        for argument in arguments {
            if let Some(session) = self.session(argument) {
                *argument = Expr::Verbatim(reborrowed(session));
                self.done = true;
            }
        }
    }

    /// The session where it is used, if that is what the expression is.
    fn session<'a>(&self, expr: &'a Expr) -> Option<&'a Ident> {
        match expr {
            Expr::Path(path) if path.attrs.is_empty() && path.qself.is_none() => {
                path.path.get_ident().filter(|ident| *ident == self.session)
            }
            _ => None,
        }
    }
}

/// Input:  `tx`
/// Output: `&mut *tx`, the new tokens marked as the macro's, so that lints leave them alone
fn reborrowed(session: &Ident) -> TokenStream {
    let span = Span::mixed_site().located_at(session.span());
    let reborrow = quote_spanned!(span=> &mut *);
    quote!(#reborrow #session)
}

impl VisitMut for Reborrow<'_> {
    fn visit_expr_call_mut(&mut self, call: &mut ExprCall) {
        self.arguments(&mut call.args);
        visit_mut::visit_expr_call_mut(self, call);
    }

    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        self.arguments(&mut call.args);
        visit_mut::visit_expr_method_call_mut(self, call);
    }

    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_pat_mut(&mut self, _: &mut Pat) {}
}
