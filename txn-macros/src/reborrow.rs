//! Reborrows the session where it is used. The compiler itself does so only for arguments that are
//! not generic.

pub(crate) mod by_tokens;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprCall, ExprMethodCall, Item, Pat, PatIdent, Stmt, Token};

/// The statements of a body; `None` if it does not parse.
pub(crate) fn parse_body(tokens: TokenStream) -> Option<Vec<Stmt>> {
    Block::parse_within.parse2(tokens).ok()
}

/// A body that is ready to be emitted.
pub(crate) struct Body {
    pub(crate) tokens: TokenStream,
    /// True if the body is one expression and nothing else.
    pub(crate) is_lone_expression: bool,
}

/// Input:  `debit(tx, 1).await?; query.execute(tx).await`
/// Output: `debit(&mut *tx, 1).await?; query.execute(&mut *tx).await`
///
/// Nothing is reborrowed in macros: two operations on one session in `try_join!` must still fail to
/// compile. Nothing is reborrowed in a body that binds the name again, because the name may stand
/// for something else there.
pub(crate) fn reborrow(tokens: TokenStream, session: Option<&Ident>) -> Body {
    match by_tokens::reborrow(&tokens, session) {
        None => parsed(tokens, session),
        Some(tokens) => Body {
            tokens,
            is_lone_expression: false,
        },
    }
}

/// Does the same with a parser.
pub(crate) fn parsed(tokens: TokenStream, session: Option<&Ident>) -> Body {
    let stmts = parse_body(tokens.clone()).unwrap_or_default();
    let is_lone_expression = matches!(*stmts, [Stmt::Expr(_, None)]);
    let reborrowed = session.and_then(|session| with_reborrows(stmts, session));
    Body {
        tokens: reborrowed.unwrap_or(tokens),
        is_lone_expression,
    }
}

/// Returns the statements with reborrows; `None` if there is nothing to reborrow.
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

/// Returns whether the statements bind the name.
fn binds(stmts: &[Stmt], name: &Ident) -> bool {
    let mut bindings = Bindings { name, found: false };
    stmts.iter().for_each(|stmt| bindings.visit_stmt(stmt));
    bindings.found
}

/// Looks for a binding of a name.
struct Bindings<'a> {
    name: &'a Ident,
    found: bool,
}

impl<'ast> Visit<'ast> for Bindings<'_> {
    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.found |= pat.ident == *self.name;
        syn::visit::visit_pat_ident(self, pat);
    }

    /// Only the name of an item is visible in the body, and not the names inside of it.
    fn visit_item(&mut self, item: &'ast Item) {
        self.found |= match item {
            Item::Fn(item) => item.sig.ident == *self.name,
            Item::Const(item) => item.ident == *self.name,
            Item::Static(item) => item.ident == *self.name,
            _ => false,
        };
    }
}

/// Reborrows the session in the arguments of calls.
struct Reborrow<'a> {
    session: &'a Ident,
    /// True if there was anything to reborrow.
    done: bool,
}

impl Reborrow<'_> {
    /// Reborrows the arguments that are the session.
    fn arguments(&mut self, arguments: &mut Punctuated<Expr, Token![,]>) {
        for argument in arguments {
            if let Some(session) = self.session(argument) {
                *argument = Expr::Verbatim(reborrowed(session));
                self.done = true;
            }
        }
    }

    /// Returns the name in the expression, if the expression is the session.
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
/// Output: `&mut *tx`
///
/// The new tokens have the hygiene of the macro, so that lints leave them alone.
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
