require 'json'
require_relative "helper"
# A module.
module Geo
  LIMIT = 10
  # A shape.
  class Shape < Base
    attr_accessor :name
    def initialize(n)
      @n = n
      setup(n)
    end
    def self.create(x) = new(x)
    def area?
      value = compute(LIMIT)
      value.round
    end
    class << self
      def inner; end
    end
    alias other area?
  end
end
def top(a, b = 1)
  puts Geo::Shape.create(a)
end
$global = 1
