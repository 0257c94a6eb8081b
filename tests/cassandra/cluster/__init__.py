import pytest

pytest.register_assert_rewrite(
    f"{__name__}.checks", f"{__name__}.load"
)  # what failed is to be seen there, too
