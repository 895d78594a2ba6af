#[::core::prelude::v1::test]
/// Moves money.
#[ignore]
#[should_panic]
#[allow(y)]
pub(crate) fn transfers() -> Result<(), E> {
    async fn transfers(#[allow(x)] mut db: Db<Sqlite>) -> Result<(), E> {
        run(&mut db).await
    }
    ::txn::__private::test::run::<
        Db<Sqlite>,
        _,
    >(
        {
            const SETUP: ::txn::__private::test::Setup = ::txn::__private::test::Setup::new(
                "TEST_DATABASE_URL",
            );
            SETUP
        },
        transfers,
    )
}
