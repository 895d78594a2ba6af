async fn place(&self, order: Order) -> Result<Id, E>
where
    Self: Sized,
{
    let mut scope = match ::txn::__private::open(
            ::txn::__private::provide(&self.state.db()),
            {
                &const {
                    ::txn::__private::Options::new(
                            ::core::concat!(::core::module_path!(), "::place"),
                        )
                        .at(::core::file!(), ::core::line!())
                        .nested()
                }
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<Id, E> as ::txn::Outcome>::from_error(error);
        }
    };
    let (tx, span) = ::txn::__private::enter(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < Id, E > > { return pinned; } { insert(& mut * tx, order). await } })
        );
        ::txn::__private::run(span, body).await
    };
    let conclusion = {
        use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
        (&&::txn::__private::Reason(&outcome))
            .conclude(<Result<Id, E> as ::txn::Outcome>::verdict(&outcome))
    };
    let ended = ::txn::__private::end(scope, conclusion).await;
    <Result<Id, E> as ::txn::Outcome>::__after(outcome, ended)
}
