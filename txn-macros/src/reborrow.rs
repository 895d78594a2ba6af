//! The implicit reborrow of the session, which the compiler itself does only for arguments that are not generic.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprCall, ExprMethodCall, Item, Pat, PatIdent, Stmt, Token, token};

/// Statements of a body, if it is one that parses.
pub(crate) fn parse_body(tokens: TokenStream) -> Option<Vec<Stmt>> {
    Block::parse_within.parse2(tokens).ok()
}

/// Input:  `debit(tx, 1).await?; query.execute(tx).await`
/// Output: `debit(&mut *tx, 1).await?; query.execute(&mut *tx).await`
///
/// Never in macros: two operations on one session in `try_join!` must go on failing to compile. Not at all in a body
/// that binds the name again, where it may be something else.
pub(crate) fn reborrow(body: TokenStream, session: &Ident) -> TokenStream {
    let Some(mut stmts) = parse_body(body.clone()) else {
        return body;
    };
    if binds(&stmts, session) {
        return body;
    }
    let mut reborrow = Reborrow {
        session,
        done: false,
    };
    stmts
        .iter_mut()
        .for_each(|stmt| reborrow.visit_stmt_mut(stmt));
    if reborrow.done {
        quote!(#(#stmts)*)
    } else {
        body
    }
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
            if self.is_session(argument) {
                *argument = reborrowed(argument);
                self.done = true;
            }
        }
    }

    fn is_session(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Path(path)
            if path.attrs.is_empty() && path.qself.is_none() && path.path.is_ident(self.session))
    }
}

/// Input:  `tx`
/// Output: `&mut *tx`, the new tokens marked as the macro's, so that lints leave them alone
fn reborrowed(session: &Expr) -> Expr {
    let span = match session.to_token_stream().into_iter().next() {
        Some(token) => Span::mixed_site().located_at(token.span()),
        None => Span::mixed_site(),
    };
    Expr::Reference(syn::ExprReference {
        attrs: Vec::new(),
        and_token: Token![&](span),
        mutability: Some(token::Mut(span)),
        expr: Box::new(Expr::Unary(syn::ExprUnary {
            attrs: Vec::new(),
            op: syn::UnOp::Deref(Token![*](span)),
            expr: Box::new(session.clone()),
        })),
    })
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
