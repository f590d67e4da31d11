package com.acme.orders;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class OrdersTest {
    @Test
    void threeForEach() {
        assertThat(new Orders().price(2)).isEqualTo(6);
    }
}
