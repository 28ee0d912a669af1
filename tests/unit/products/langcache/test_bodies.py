from askonce.products.langcache.bodies import EntryAttributes


def test_python_3_12_can_have_attributes_in_a_union() -> None:
    assert hash(EntryAttributes) == hash(EntryAttributes)
