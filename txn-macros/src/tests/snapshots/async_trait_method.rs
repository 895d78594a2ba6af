fn save<'life0, 'async_trait>(
    &'life0 self,
    id: i64,
) -> ::core::pin::Pin<
    Box<
        dyn ::core::future::Future<
            Output = Result<u64, E>,
        > + ::core::marker::Send + 'async_trait,
    >,
>
where
    'life0: 'async_trait,
    Self: 'async_trait,
{
    Box::pin(async move {
        let mut scope = match ::txn::__private::open(
                ::txn::__private::provide(&self.db),
                {
                    &const {
                        ::txn::__private::Options::new(
                                ::core::concat!(::core::module_path!(), "::save"),
                            )
                            .at(::core::file!(), ::core::line!())
                    }
                },
            )
            .await
        {
            ::core::result::Result::Ok(scope) => scope,
            ::core::result::Result::Err(error) => {
                return <Result<u64, E> as ::txn::Outcome>::from_error(error);
            }
        };
        let (tx, span) = ::txn::__private::enter(&mut scope);
        let outcome = {
            let body = ::core::pin::pin!(
                ::core::option::Option::Some(async move { if let
                ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
                Result < u64, E > > { return pinned; } { if let
                ::core::option::Option::Some(__ret) = ::core::option::Option::None:: <
                Result < u64, E > > { #[allow(unreachable_code)] return __ret; } let
                __self = self; let id = id; let __ret : Result < u64, E > = { debit(& mut
                * tx, id). await }; #[allow(unreachable_code)] __ret } })
            );
            ::txn::__private::run(span, body).await
        };
        let conclusion = {
            use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
            (&&::txn::__private::Reason(&outcome))
                .conclude(<Result<u64, E> as ::txn::Outcome>::verdict(&outcome))
        };
        let ended = ::txn::__private::end(scope, conclusion).await;
        <Result<u64, E> as ::txn::Outcome>::__after(outcome, ended)
    })
}
